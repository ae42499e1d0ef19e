package exproto_test

import (
	"context"
	"net"
	"testing"
	"time"

	exproto "exproto.dev/handler-kit/go"
)

// scripted is a user's object made of functions.
type scripted struct {
	conn    *exproto.Conn
	open    func(ctx context.Context, conn *exproto.Conn) error
	bytes   func(ctx context.Context, conn *exproto.Conn, bytes []byte) error
	message func(ctx context.Context, conn *exproto.Conn, message *exproto.Message) error
	timer   func(ctx context.Context, conn *exproto.Conn) error
	close   func(ctx context.Context, conn *exproto.Conn, reason string) error
}

func (s *scripted) OnOpen(ctx context.Context) error {
	if s.open == nil {
		return nil
	}
	return s.open(ctx, s.conn)
}

func (s *scripted) OnBytes(ctx context.Context, bytes []byte) error {
	if s.bytes == nil {
		return s.conn.Send(ctx, bytes)
	}
	return s.bytes(ctx, s.conn, bytes)
}

func (s *scripted) OnMessage(ctx context.Context, message *exproto.Message) error {
	if s.message == nil {
		return nil
	}
	return s.message(ctx, s.conn, message)
}

func (s *scripted) OnTimer(ctx context.Context) error {
	if s.timer == nil {
		return nil
	}
	return s.timer(ctx, s.conn)
}

func (s *scripted) OnClose(ctx context.Context, reason string) error {
	if s.close == nil {
		return nil
	}
	return s.close(ctx, s.conn, reason)
}

// handler is a server of the kit that runs.
type handler struct {
	address string
	stop    func()
	stopped chan error
}

// serve starts a handler whose connections follow the script, and ends it with the test.
func serve(t *testing.T, script scripted, options ...exproto.ServerOption) *handler {
	t.Helper()
	return serveAccept(t, func(conn *exproto.Conn) exproto.Connection {
		mine := script
		mine.conn = conn
		return &mine
	}, options...)
}

func serveAccept(t *testing.T, accept exproto.Accept, options ...exproto.ServerOption) *handler {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &handler{address: listener.Addr().String(), stop: stop, stopped: make(chan error, 1)}
	server := exproto.NewServer(accept, options...)
	go func() { h.stopped <- server.Serve(ctx, listener); close(h.stopped) }()
	t.Cleanup(func() { stop(); <-h.stopped })
	return h
}

// within waits for a value, or fails.
func within[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(deadline):
		t.Fatalf("did not happen: %s", what)
		panic("not reached")
	}
}
