package exproto_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	exproto "exproto.dev/handler-kit/go"
	"exproto.dev/handler-kit/go/streamv1"
)

func TestAnObjectOutlivesItsStream(t *testing.T) {
	var opened, closed atomic.Int32
	entered, release := make(chan string, 2), make(chan struct{})
	h := serve(t, scripted{
		open: func(context.Context, *exproto.Conn) error { opened.Add(1); return nil },
		bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
			entered <- string(bytes)
			<-release
			return conn.Send(ctx, bytes)
		},
		close: func(context.Context, *exproto.Conn, string) error { closed.Add(1); return nil },
	})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "a")
	within(t, "OnBytes", entered)
	p.cut()
	close(release) // the step ends while the connection is detached
	p.bytes(1, "b")
	p.connect(h.address)
	if text := within(t, "OnBytes", entered); text != "b" {
		t.Errorf("shown again: %q", text)
	}
	p.until("both echoes", func() bool { return string(d.sent) == "ab" && d.acked == 2 })
	p.close(1, "tcp_closed")
	p.until("the last acknowledgement", func() bool { return d.acked == 3 })
	if opened.Load() != 1 || closed.Load() != 1 {
		t.Errorf("opened %d times, closed %d times", opened.Load(), closed.Load())
	}
}

func TestALostLastAcknowledgementClosesNothingTwice(t *testing.T) {
	var closed atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	h := serve(t, scripted{
		close: func(context.Context, *exproto.Conn, string) error {
			closed.Add(1)
			close(entered)
			<-release
			return nil
		},
	})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.close(1, "tcp_closed")
	within(t, "OnClose", entered)
	p.cut()
	close(release)
	p.connect(h.address)
	p.until("the acknowledgement", func() bool { return d.acked == 1 })
	if closed.Load() != 1 {
		t.Errorf("closed %d times", closed.Load())
	}
}

func TestCommandsThatWereNotAcceptedAreSentAgainWithTheirAcknowledgement(t *testing.T) {
	h := serve(t, scripted{})
	p := newPod(t)
	p.holdProgress = true
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "a")
	p.until("the first", func() bool { return d.acked == 1 })
	// As if the batch had been lost on its way.
	p.locked(func() {
		d.accepted, d.acked, d.waiting, d.sent = 0, 0, 0, nil
		d.events = []*streamv1.Event{{Conn: 1, Seq: 1, Kind: &streamv1.Event_Bytes{Bytes: []byte("a")}}}
		p.batches = nil
	})
	p.cut()
	p.connect(h.address)
	p.until("it again", func() bool { return d.acked == 1 })
	p.locked(func() {
		if string(d.sent) != "a" || len(p.batches) != 1 {
			t.Errorf("sent %q in %v", d.sent, p.batches)
		}
	})
}

func TestAnotherHandlerGoesOnWithTheState(t *testing.T) {
	script := scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		all := append(append([]byte{}, conn.State()...), bytes...)
		if err := conn.Send(ctx, fmt.Appendf(nil, "%d@%d:%s;", conn.Attempt(), conn.Offset(), all)); err != nil {
			return err
		}
		return conn.SetState(ctx, all)
	}}
	p := newPod(t)
	p.connect(serve(t, script).address)
	d := p.open(1)
	p.bytes(1, "ab")
	p.until("the first step", func() bool { return d.acked == 1 })
	p.cut()
	p.connect(serve(t, script).address)
	p.bytes(1, "c")
	p.bytes(1, "d")
	p.until("the others", func() bool { return string(d.sent) == "1@0:ab;2@2:abc;2@3:abcd;" })
}

func TestAnObjectThatWasElsewhereIsReplacedWithoutAWord(t *testing.T) {
	var opened, closed atomic.Int32
	conns := make(chan *exproto.Conn, 2)
	script := scripted{
		open:  func(_ context.Context, conn *exproto.Conn) error { opened.Add(1); conns <- conn; return nil },
		close: func(context.Context, *exproto.Conn, string) error { closed.Add(1); return nil },
	}
	one, two := serve(t, script), serve(t, scripted{})
	p := newPod(t)
	p.connect(one.address)
	d := p.open(1)
	stale := within(t, "OnOpen", conns)
	p.cut()
	p.connect(two.address)
	p.bytes(1, "x")
	p.until("the echo elsewhere", func() bool { return string(d.sent) == "x" })
	p.cut()
	p.connect(one.address)
	fresh := within(t, "OnOpen of a new object", conns)
	if fresh == stale || fresh.Attempt() != 3 || closed.Load() != 0 {
		t.Errorf("attempt %d, closed %d times", fresh.Attempt(), closed.Load())
	}
	within(t, "the end of the stale one", stale.Context().Done())
	if err := stale.Send(context.Background(), nil); !errors.Is(err, exproto.ErrDetached) {
		t.Error(err)
	}
}

// Attempt 2 is lost on its way to another handler, or to this one. Attempt 3 says who has acted last.
func TestAnObjectGoesOnAfterLostAttemptsIfNobodyElseHasActed(t *testing.T) {
	for name, test := range map[string]struct {
		actor  string
		opened int
	}{"nobody": {"", 1}, "another": {"another", 2}} {
		t.Run(name, func(t *testing.T) {
			opened := make(chan *exproto.Conn, 2)
			h := serve(t, scripted{
				open: func(_ context.Context, conn *exproto.Conn) error { opened <- conn; return nil },
			})
			p := newPod(t)
			p.connect(h.address)
			d := p.open(1)
			p.bytes(1, "a")
			p.until("the echo", func() bool { return d.acked == 1 })
			p.cut()
			p.locked(func() {
				d.attempt = 2
				if test.actor != "" {
					d.actor = test.actor
				}
			})
			p.connect(h.address)
			p.bytes(1, "b")
			p.until("the second echo", func() bool { return string(d.sent) == "ab" })
			if len(opened) != test.opened {
				t.Errorf("opened %d times", len(opened))
			}
		})
	}
}

// Attempt 2 goes to a second stream, and is read before attempt 1, or again.
func TestAnAttachThatIsReadLateIsIgnored(t *testing.T) {
	conns := make(chan *exproto.Conn, 4)
	h := serve(t, scripted{open: func(_ context.Context, conn *exproto.Conn) error { conns <- conn; return nil }})
	p := newPod(t)
	old := p.connect(h.address)
	fresh := p.connect(h.address)
	p.locked(func() { p.devices[1] = &device{attempt: 1} })
	p.locked(func() { p.attach(1, p.devices[1], false) })
	p.bytes(1, "a")
	p.until("the echo", func() bool { return p.devices[1].acked == 1 })
	p.locked(func() {
		_ = old.rpc.Send(&streamv1.GatewayBatch{
			Attaches: []*streamv1.Attach{
				{Conn: 1, Id: "id-1", Attempt: 1},
				{Conn: 1, Id: "id-1", Attempt: 2, Instance: "another"},
				{Conn: 2, Id: "id-2", Attempt: 1},
			},
			Events: []*streamv1.Event{
				{Conn: 1, Seq: 1, Kind: &streamv1.Event_Bytes{Bytes: []byte("late")}},
				{Conn: 2, Seq: 1, Kind: &streamv1.Event_Bytes{Bytes: []byte("x")}},
			},
		})
		p.devices[2] = &device{seq: 1}
		p.lane = old
	})
	p.until("the second's echo, so all was read", func() bool { return string(p.devices[2].sent) == "x" })
	p.locked(func() { p.lane = fresh })
	p.bytes(1, "b")
	p.until("both echoes", func() bool { return string(p.devices[1].sent) == "ab" })
	if first := within(t, "OnOpen", conns); first.ID() != "id-1" || first.Attempt() != 2 || len(conns) != 1 {
		t.Errorf("%s opened with attempt %d, and %d more", first.ID(), first.Attempt(), len(conns))
	}
}

func TestDetachedObjectsEndAfterATime(t *testing.T) {
	reasons := make(chan string, 1)
	h := serve(t, scripted{close: func(ctx context.Context, _ *exproto.Conn, reason string) error {
		reasons <- reason
		return ctx.Err()
	}}, exproto.WithDetachedTimeout(time.Millisecond))
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "x")
	p.until("the echo", func() bool { return d.acked == 1 })
	p.cut()
	if reason := within(t, "OnClose", reasons); reason != exproto.ReasonDetached {
		t.Error(reason)
	}
}

func TestAnotherEpochEndsTheObjectsOfTheOneBefore(t *testing.T) {
	reasons := make(chan string, 1)
	h := serve(t, scripted{close: func(_ context.Context, _ *exproto.Conn, reason string) error {
		reasons <- reason
		return nil
	}})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "x")
	p.until("the echo", func() bool { return d.acked == 1 })
	again := newPod(t)
	again.hello.Epoch = 2
	again.connect(h.address)
	if reason := within(t, "OnClose", reasons); reason != exproto.ReasonDetached {
		t.Error(reason)
	}
	d = again.open(1) // the same number is another connection
	again.bytes(1, "y")
	again.until("the echo", func() bool { return string(d.sent) == "y" })
}

func TestEventsOfAStreamThatWasLeftAreIgnored(t *testing.T) {
	texts := make(chan string, 8)
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		if conn.ID() == "id-1" {
			texts <- string(bytes)
		}
		return conn.Send(ctx, bytes)
	}})
	p := newPod(t)
	old := p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "a")
	p.until("the echo", func() bool { return d.acked == 1 })
	fresh := p.connect(h.address) // without cutting the old one
	p.bytes(1, "b")
	p.until("the echo", func() bool { return d.acked == 2 })
	// By the old stream: an event that was not sent on the new one, and an introduction that was read late. After
	// them a second device, whose echo shows that both have been taken.
	p.locked(func() {
		late := &streamv1.Event{Conn: 1, Seq: 3, Kind: &streamv1.Event_Bytes{Bytes: []byte("late")}}
		_ = old.rpc.Send(&streamv1.GatewayBatch{
			Attaches: []*streamv1.Attach{{Conn: 1, Attempt: 1}, {Conn: 2, Attempt: 1}},
			Events:   []*streamv1.Event{late, {Conn: 2, Seq: 1, Kind: &streamv1.Event_Bytes{Bytes: []byte("x")}}},
		})
		p.devices[2] = &device{seq: 1}
		p.lane = old
	})
	p.until("the second's echo", func() bool { return string(p.devices[2].sent) == "x" })
	p.locked(func() { p.lane = fresh })
	p.bytes(1, "c")
	for _, want := range []string{"a", "b", "c"} {
		if got := within(t, "OnBytes", texts); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}

func TestAcknowledgementsDoNotGoAheadOfTheirCommands(t *testing.T) {
	const size, events = 5000, 6
	release, done := make(chan struct{}), make(chan struct{}, events)
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		if conn.ID() == "id-2" {
			return conn.Send(ctx, bytes)
		}
		<-release
		done <- struct{}{}
		return conn.Send(ctx, make([]byte, size))
	}})
	p := newPod(t)
	p.hello.MaxBatchBytes = 16 << 10
	p.connect(h.address)
	d := p.open(1)
	for range events {
		p.bytes(1, "x")
	}
	second := p.open(2)
	p.bytes(2, "y")
	p.until("the second's echo, so all was read", func() bool { return second.acked == 1 })
	p.cut()
	close(release)
	for range events {
		within(t, "OnBytes", done)
	}
	p.locked(func() {
		p.check = func() {
			if len(d.sent) < size*int(d.acked) {
				t.Errorf("%d events are acknowledged, and %d bytes were sent", d.acked, len(d.sent))
			}
		}
		p.batches = nil
	})
	p.connect(h.address)
	p.until("all echoes", func() bool { return len(d.sent) == size*events && d.acked == events })
	p.locked(func() {
		if len(p.batches) < 2 {
			t.Errorf("all came in %d batch", len(p.batches))
		}
	})
}

// Streams that break at any moment, handlers that take over from each other: each byte comes back once and in order.
func TestNothingIsLostDoubledOrReordered(t *testing.T) {
	script := scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		if err := conn.SetState(ctx, fmt.Append(nil, len(conn.State()))); err != nil {
			return err
		}
		return conn.Send(ctx, bytes)
	}}
	handlers := []*handler{serve(t, script), serve(t, script)}
	p := newPod(t)
	p.connect(handlers[0].address)
	const devices, events = 20, 400
	for conn := range uint64(devices) {
		p.open(conn)
	}
	want := strings.Builder{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range events {
		text := fmt.Sprintf("%d,", i)
		want.WriteString(text)
		for conn := range uint64(devices) {
			p.bytes(conn, text)
		}
		if random.IntN(10) == 0 {
			p.cut()
			p.connect(handlers[random.IntN(2)].address)
		}
	}
	for conn := range uint64(devices) {
		p.until("all echoes", func() bool { return p.devices[conn].acked == events })
		p.locked(func() {
			if got := string(p.devices[conn].sent); got != want.String() {
				t.Errorf("device %d got %q", conn, got)
			}
		})
	}
}
