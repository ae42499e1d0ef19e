package exproto_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	exproto "exproto.dev/handler-kit/go"
	"exproto.dev/handler-kit/go/exprotov1"
)

func TestAStepIsOneBatch(t *testing.T) {
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		for range 3 {
			if err := conn.Send(ctx, bytes); err != nil {
				return err
			}
		}
		if err := conn.Publish(ctx, "t", bytes, exproto.WithoutResult()); err != nil {
			return err
		}
		return conn.SetState(ctx, bytes)
	}})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "x")
	p.until("the acknowledgement", func() bool { return d.acked == 1 })
	p.locked(func() {
		if len(p.batches) != 1 || len(p.batches[0].Commands) != 5 || len(p.batches[0].Acks) != 1 {
			t.Errorf("not one batch of five commands and their acknowledgement: %v", p.batches)
		}
		if string(d.state) != "x" {
			t.Errorf("state %q", d.state)
		}
	})
}

func TestWaitingForAResultLetsTheStepSoFarGo(t *testing.T) {
	entered := make(chan error, 1)
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		_ = conn.Send(ctx, []byte("before"))
		err := conn.Publish(ctx, "topic", bytes, exproto.QoS(1))
		entered <- err
		_ = conn.Send(ctx, []byte("after"))
		return nil
	}})
	p := newPod(t)
	p.holdResults = true
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "first")
	p.until("the publish", func() bool { return len(d.published) == 1 })
	p.bytes(1, "second") // waits behind the first, and its result comes before its callback
	p.locked(func() {
		if string(d.sent) != "before" || d.acked != 0 {
			t.Errorf("sent %q, acknowledged %d", d.sent, d.acked)
		}
		p.result(1, 2, exprotov1.ResultCode_PERMISSION_DENY, "not you")
	})
	err := within(t, "the result", entered)
	if !errors.Is(err, &exproto.Error{Code: exprotov1.ResultCode_PERMISSION_DENY}) ||
		err.Error() != "PERMISSION_DENY: not you" {
		t.Errorf("the error is %v", err)
	}
	p.until("the first acknowledgement", func() bool { return d.acked == 1 && string(d.sent[:11]) == "beforeafter" })
	p.until("the second publish", func() bool { return len(d.published) == 2 })
	p.locked(func() { p.result(1, d.accepted, exprotov1.ResultCode_SUCCESS, "") })
	if err := within(t, "the second result", entered); err != nil {
		t.Error(err)
	}
	p.until("all acknowledgements, also of results", func() bool { return d.acked == 4 })
}

func TestCommandsFromOutsideLeaveAtOnce(t *testing.T) {
	conns := make(chan *exproto.Conn, 1)
	h := serve(t, scripted{open: func(_ context.Context, conn *exproto.Conn) error { conns <- conn; return nil }})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	conn := within(t, "OnOpen", conns)
	done := make(chan error, 8)
	for range 8 {
		go func() {
			for range 100 {
				if err := conn.Send(conn.Context(), []byte("x")); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := within(t, "the senders", done); err != nil {
			t.Error(err)
		}
	}
	p.until("all sends", func() bool { return len(d.sent) == 800 })
}

func TestCommandsOfAnotherConnectionOrAfterTheStepLeaveAtOnce(t *testing.T) {
	conns := make(chan *exproto.Conn, 2)
	release, later := make(chan struct{}), make(chan func() error, 1)
	h := serve(t, scripted{
		open: func(_ context.Context, conn *exproto.Conn) error { conns <- conn; return nil },
		bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
			other := <-conns
			if err := other.Send(ctx, bytes); err != nil {
				return err
			}
			later <- func() error { return conn.Send(ctx, []byte("later")) }
			<-release
			return nil
		},
	})
	p := newPod(t)
	p.connect(h.address)
	first := p.open(1)
	within(t, "OnOpen", conns)
	second := p.open(2)
	p.bytes(1, "to the other")
	p.until("the other's bytes, during the callback", func() bool { return string(second.sent) == "to the other" })
	close(release)
	p.until("the acknowledgement", func() bool { return first.acked == 1 })
	if err := within(t, "the callback", later)(); err != nil {
		t.Error(err)
	}
	p.until("what came after it", func() bool { return string(first.sent) == "later" })
}

func TestADeviceThatLeavesCutsWaitingShort(t *testing.T) {
	errs, texts := make(chan error, 1), make(chan string, 2)
	h := serve(t, scripted{
		bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
			texts <- string(bytes)
			if string(bytes) == "last" {
				return nil
			}
			err := conn.Publish(ctx, "t", bytes)
			errs <- err
			return err
		},
		close: func(_ context.Context, _ *exproto.Conn, reason string) error { texts <- reason; return nil },
	})
	p := newPod(t)
	p.holdResults = true
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "first")
	p.until("Publish", func() bool { return d.accepted == 1 })
	p.bytes(1, "last")
	p.close(1, "tcp_closed")
	if err := within(t, "the end of waiting", errs); !errors.Is(err, exproto.ErrClosed) {
		t.Error(err)
	}
	for _, want := range []string{"first", "last", "tcp_closed"} {
		if got := within(t, "a callback", texts); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	p.until("the last acknowledgement", func() bool { return d.acked == 3 })
	p.locked(func() {
		if d.failure != "" {
			t.Error(d.failure)
		}
	})
}

func TestSendersWaitForCredits(t *testing.T) {
	conns := make(chan *exproto.Conn, 1)
	h := serve(t, scripted{open: func(_ context.Context, conn *exproto.Conn) error { conns <- conn; return nil }})
	p := newPod(t)
	p.holdProgress = true
	p.connect(h.address)
	d := p.open(1)
	conn := within(t, "OnOpen", conns)
	for range 16 {
		if err := conn.Send(conn.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := conn.Send(ctx, []byte("never")); !errors.Is(err, context.Canceled) {
		t.Errorf("a sender without credits whose context is done got %v", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- conn.Send(conn.Context(), []byte("last")) }()
	p.until("what the credits allow", func() bool { return len(d.sent) == 16 })
	p.locked(func() { p.holdProgress = false; p.progress() })
	if err := within(t, "the sender that waits", sent); err != nil {
		t.Error(err)
	}
	p.until("its bytes", func() bool { return string(d.sent) == strings.Repeat("x", 16)+"last" })
}

func TestALargeStepIsSplit(t *testing.T) {
	const size, count = 5000, 40
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, _ []byte) error {
		for range count {
			if err := conn.Send(ctx, make([]byte, size)); err != nil {
				return err
			}
		}
		return nil
	}})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "go")
	p.until("all bytes", func() bool { return len(d.sent) == size*count && d.acked == 1 })
}

func TestWhatIsTooLargeIsRefusedHere(t *testing.T) {
	errs := make(chan error, 2)
	h := serve(t, scripted{open: func(ctx context.Context, conn *exproto.Conn) error {
		errs <- conn.Send(ctx, make([]byte, 64<<10))
		errs <- conn.SetState(ctx, make([]byte, exproto.MaxState+1))
		return nil
	}})
	p := newPod(t)
	p.connect(h.address)
	p.open(1)
	for range 2 {
		if err := within(t, "the refusal", errs); !errors.Is(err, exproto.ErrTooLarge) {
			t.Error(err)
		}
	}
}
