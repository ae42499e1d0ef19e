package exproto_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	exproto "exproto.dev/handler-kit/go"
)

func TestGoodbyeComesAfterWhatWasReceived(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, bytes []byte) error {
		entered <- struct{}{}
		<-release
		return conn.Send(ctx, bytes)
	}})
	p := newPod(t)
	lane := p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "last")
	within(t, "OnBytes", entered)
	watch, err := healthv1.NewHealthClient(dial(t, h.address)).Watch(context.Background(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if now, err := watch.Recv(); err != nil || now.Status != healthv1.HealthCheckResponse_SERVING {
		t.Fatal(now, err)
	}
	h.stop()
	if now, err := watch.Recv(); err != nil || now.Status != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Error(now, err)
	}
	p.bytes(1, "for the next handler")
	close(release)
	p.until("the end of the stream", func() bool { return lane.ended })
	if lane.err != nil || !lane.gone || string(d.sent) != "last" || d.acked != 1 {
		t.Errorf("%v, goodbye %v, sent %q, acknowledged %d", lane.err, lane.gone, d.sent, d.acked)
	}
	if err := within(t, "the server's end", h.stopped); err != nil {
		t.Error(err)
	}
}

func TestTheEndDoesNotWaitForStuckCallbacks(t *testing.T) {
	entered := make(chan struct{})
	ended := make(chan error, 1)
	h := serve(t, scripted{bytes: func(ctx context.Context, conn *exproto.Conn, _ []byte) error {
		close(entered)
		err := conn.Publish(ctx, "t", nil)
		ended <- err
		return err
	}}, exproto.WithShutdownTimeout(time.Millisecond))
	p := newPod(t)
	p.holdResults = true
	lane := p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "x")
	within(t, "OnBytes", entered)
	p.until("Publish", func() bool { return d.accepted == 1 })
	h.stop()
	if err := within(t, "the callback's end", ended); !errors.Is(err, exproto.ErrShutdown) {
		t.Error(err)
	}
	p.until("the end of the stream", func() bool { return lane.ended })
	if d.acked != 0 || d.failure != "" || !lane.gone {
		t.Errorf("acknowledged %d, failure %q", d.acked, d.failure)
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	h := serve(t, scripted{})
	err := exproto.NewServer(nil).ListenAndServe(context.Background(), h.address)
	if err == nil || !strings.Contains(err.Error(), "cannot serve at "+h.address) {
		t.Error(err)
	}
}
