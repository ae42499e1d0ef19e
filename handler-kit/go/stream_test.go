package exproto_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	exproto "exproto.dev/handler-kit/go"
	"exproto.dev/handler-kit/go/streamv1"
)

func TestBytesComeBackInOrder(t *testing.T) {
	h := serve(t, scripted{})
	p := newPod(t)
	p.connect(h.address)
	var want strings.Builder
	d := p.open(1)
	for i := range 500 {
		text := fmt.Sprintf("%d,", i)
		want.WriteString(text)
		p.bytes(1, text)
	}
	p.until("the echo", func() bool { return string(d.sent) == want.String() && d.acked == d.seq })
}

func TestConnectionsDoNotWaitForEachOther(t *testing.T) {
	release := make(chan struct{})
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		if conn.ID() == "id-1" {
			<-release
		}
		return conn.Send(ctx, bytes)
	}})
	defer close(release)
	p := newPod(t)
	p.connect(h.address)
	p.open(1)
	second := p.open(2)
	p.bytes(1, "stuck")
	p.bytes(2, "free")
	p.until("the echo of the second", func() bool { return string(second.sent) == "free" })
}

func TestAFailedCallbackEndsItsConnectionAlone(t *testing.T) {
	reasons := make(chan string, 2)
	h := serve(t, scripted{
		bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
			switch string(bytes) {
			case "panic":
				panic("oh no")
			case "error":
				_ = conn.Send(ctx, []byte("sorry"))
				return errors.New("bad frame")
			}
			return conn.Send(ctx, bytes)
		},
		close: func(_ context.Context, _ *exproto.Conn, reason string) error { reasons <- reason; return nil },
	})
	p := newPod(t)
	p.connect(h.address)
	one, two, three := p.open(1), p.open(2), p.open(3)
	p.bytes(1, "panic")
	p.bytes(1, "not shown")
	p.bytes(2, "error")
	p.bytes(3, "fine")
	p.until("the failures", func() bool { return one.failure == "panic: oh no" && two.failure == "bad frame" })
	p.until("the third's echo", func() bool { return string(three.sent) == "fine" })
	p.close(1, "handler_error")
	if reason := within(t, "OnClose", reasons); reason != "handler_error" {
		t.Error(reason)
	}
	p.until("the last acknowledgement", func() bool { return one.acked == 3 })
	p.locked(func() {
		if len(one.sent) > 0 || string(two.sent) != "sorry" {
			t.Errorf("sent %q and %q", one.sent, two.sent)
		}
	})
}

func TestAFailedOpeningClosesTheConnection(t *testing.T) {
	h := serve(t, scripted{open: func(ctx context.Context, conn *exproto.Conn) error {
		if err := conn.Send(ctx, []byte("sorry")); err != nil {
			return err
		}
		return errors.New("no")
	}})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.until("the failure", func() bool { return d.failure == "no" })
	p.locked(func() {
		if string(d.sent) != "sorry" || d.closing {
			t.Errorf("sent %q, closing %v", d.sent, d.closing)
		}
	})
	p.cut()
	p.locked(func() { d.failure = "" }) // as if it had been lost
	p.connect(h.address)
	p.until("the failure again", func() bool { return d.failure == "no" })
}

func TestMessagesAndTimersArrive(t *testing.T) {
	h := serve(t, scripted{
		message: func(ctx context.Context, conn *exproto.Conn, message *exproto.Message) error {
			return conn.Send(ctx, message.GetPayload())
		},
		timer: func(ctx context.Context, conn *exproto.Conn) error { return conn.Send(ctx, []byte("!")) },
	})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	messages := []*exproto.Message{{Payload: []byte("a")}, {Payload: []byte("b")}}
	p.event(1, &streamv1.Event{Kind: &streamv1.Event_Messages{Messages: &streamv1.Messages{Messages: messages}}})
	p.event(1, &streamv1.Event{Kind: &streamv1.Event_TimerTimeout{TimerTimeout: &streamv1.TimerTimeout{}}})
	p.until("both", func() bool { return string(d.sent) == "ab!" && d.acked == 2 })
}

func TestAnUnknownKindIsAcknowledgedAndIgnored(t *testing.T) {
	h := serve(t, scripted{})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	unknown := &streamv1.Event{}
	unknown.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "new"))
	p.event(1, unknown)
	p.bytes(1, "known")
	p.until("both", func() bool { return d.acked == 2 && string(d.sent) == "known" })
}

func TestAGapInTheEventsEndsTheConnection(t *testing.T) {
	h := serve(t, scripted{})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.locked(func() { d.seq = 1 })
	p.bytes(1, "second")
	p.until("the complaint", func() bool { return d.failure == "event 2 came after event 0" })
}

func TestMoreEventsThanTheCreditsEndTheConnection(t *testing.T) {
	release := make(chan struct{})
	h := serve(t, scripted{bytes: func(context.Context, *exproto.Conn, []byte) error { <-release; return nil }})
	defer close(release)
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	for range maxEvents + 2 {
		p.event(1, &streamv1.Event{Kind: &streamv1.Event_Bytes{Bytes: []byte("x")}})
	}
	p.until("the complaint", func() bool { return d.failure == "more than 64 events came ahead" })
}

func TestHellosAreChecked(t *testing.T) {
	h := serve(t, scripted{})
	good := newPod(t).hello
	for name, test := range map[string]struct {
		batches []*streamv1.GatewayBatch
		code    codes.Code
		message string
	}{
		"none":    {[]*streamv1.GatewayBatch{{Heartbeat: 1}}, codes.InvalidArgument, "the first batch holds no hello"},
		"second":  {[]*streamv1.GatewayBatch{{Hello: good}, {Hello: good}}, codes.InvalidArgument, "a second hello"},
		"version": {[]*streamv1.GatewayBatch{{Hello: &streamv1.GatewayHello{}}}, codes.FailedPrecondition, "version"},
		"zero": {[]*streamv1.GatewayBatch{{Hello: &streamv1.GatewayHello{
			Version: 1, MaxCommandBytes: 1, MaxBatchBytes: 1 << 20, HeartbeatMs: 1000,
		}}}, codes.InvalidArgument, "max_commands is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			rpc := raw(t, h.address)
			for _, batch := range test.batches {
				_ = rpc.Send(batch)
			}
			var err error
			for err == nil {
				_, err = rpc.Recv()
			}
			if status.Code(err) != test.code || !strings.Contains(err.Error(), test.message) {
				t.Error(err)
			}
		})
	}
}

func TestANewerGatewayIsAnswered(t *testing.T) {
	h := serve(t, scripted{}, exproto.WithEventCredits(7, 1000), exproto.WithMaxBatchBytes(300<<10))
	p := newPod(t)
	p.hello.Version = 7
	hello := p.connect(h.address).hello
	if hello.Version != 1 || hello.MaxEvents != 7 || hello.MaxEventBytes != 1000 || hello.MaxBatchBytes != 300<<10 ||
		hello.Instance == "" || hello.Library != exproto.Library {
		t.Error(hello)
	}
}

func TestHeartbeatsComeWhileNothingElseDoes(t *testing.T) {
	h := serve(t, scripted{})
	p := newPod(t)
	p.hello.HeartbeatMs = 20
	lane := p.connect(h.address)
	p.until("a heartbeat", func() bool { return len(p.batches) > 0 && p.batches[0].Heartbeat != 0 })
	// This pod sends none, so its stream ends.
	p.until("the end of the stream", func() bool { return lane.ended })
	if status.Code(lane.err) != codes.DeadlineExceeded {
		t.Error(lane.err)
	}
}
