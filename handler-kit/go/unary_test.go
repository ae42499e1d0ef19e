package exproto_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	exproto "exproto.dev/handler-kit/go"
	"exproto.dev/handler-kit/go/exprotov1"
)

// adapter is a ConnectionAdapter that notes what it is asked.
type adapter struct {
	exprotov1.UnimplementedConnectionAdapterServer
	mu     sync.Mutex
	sent   map[string]string
	expiry []string
	retain []string
}

func (a *adapter) Send(
	_ context.Context, request *exprotov1.SendBytesRequest,
) (*exprotov1.CodeResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[request.Conn] += string(request.Bytes)
	return &exprotov1.CodeResponse{}, nil
}

func (a *adapter) Authenticate(
	ctx context.Context, _ *exprotov1.AuthenticateRequest,
) (*exprotov1.CodeResponse, error) {
	a.expiry = metadata.ValueFromIncomingContext(ctx, "exproto-session-expiry")
	return &exprotov1.CodeResponse{}, grpc.SetHeader(ctx, metadata.Pairs("exproto-session-present", "true"))
}

func (a *adapter) RawPublish(
	ctx context.Context, _ *exprotov1.RawPublishRequest,
) (*exprotov1.CodeResponse, error) {
	a.retain = metadata.ValueFromIncomingContext(ctx, "exproto-retain")
	return &exprotov1.CodeResponse{Code: exprotov1.ResultCode_PERMISSION_DENY, Message: "raw"}, nil
}

// v1 serves a handler with an adapter, and gives a client of it.
func v1(t *testing.T, script scripted) (*adapter, exprotov1.ConnectionUnaryHandlerClient, *handler) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &adapter{sent: map[string]string{}}
	server := grpc.NewServer()
	exprotov1.RegisterConnectionAdapterServer(server, a)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	h := serve(t, script, exproto.WithAdapter(listener.Addr().String()))
	return a, exprotov1.NewConnectionUnaryHandlerClient(dial(t, h.address)), h
}

// said is a call's context with metadata.
func said(t *testing.T, pairs ...string) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func TestV1CallsTheSameObjects(t *testing.T) {
	var conn *exproto.Conn
	reasons := make(chan string, 1)
	a, gateway, _ := v1(t, scripted{
		open: func(_ context.Context, c *exproto.Conn) error { conn = c; return nil },
		bytes: func(ctx context.Context, c *exproto.Conn, bytes []byte) error {
			info := &exproto.ClientInfo{Clientid: "me"}
			session, err := c.Authenticate(ctx, info, "pw", exproto.SessionExpiry(time.Hour))
			if err != nil || !session.Present || c.Client().ID != "me" {
				t.Error(session, err, c.Client())
			}
			err = c.RawPublish(ctx, "t", nil, exproto.Retain())
			if !errors.Is(err, &exproto.Error{Code: exprotov1.ResultCode_PERMISSION_DENY}) {
				t.Error(err)
			}
			if err := c.SetState(ctx, bytes); err != nil {
				t.Error(err)
			}
			return c.Send(ctx, c.State())
		},
		message: func(ctx context.Context, c *exproto.Conn, m *exproto.Message) error { return c.Send(ctx, m.Payload) },
		timer:   func(ctx context.Context, c *exproto.Conn) error { return c.Send(ctx, []byte("!")) },
		close:   func(_ context.Context, _ *exproto.Conn, reason string) error { reasons <- reason; return nil },
	})
	created := &exprotov1.SocketCreatedRequest{Conn: "c", Conninfo: &exprotov1.ConnInfo{
		Peername: &exprotov1.Address{Host: "::1", Port: 7},
	}}
	ctx := said(t, "exproto-listener", "l", "exproto-transport", "tls", "exproto-tls-sni", "name", "exproto-attempt", "2")
	if _, err := gateway.OnSocketCreated(ctx, created); err != nil {
		t.Fatal(err)
	}
	sni, _ := conn.Detail("exproto-tls-sni")
	if conn.ID() != "c" || conn.Peer() != "[::1]:7" || conn.Listener() != "l" || conn.Transport() != "tls" ||
		conn.Attempt() != 2 || sni != "name" || len(conn.Details()) != 1 {
		t.Error(conn.ID(), conn.Peer(), conn.Listener(), conn.Transport(), conn.Attempt(), conn.Details())
	}
	bytes := &exprotov1.ReceivedBytesRequest{Conn: "c", Bytes: []byte("hi")}
	if _, err := gateway.OnReceivedBytes(said(t, "exproto-offset", "40"), bytes); err != nil {
		t.Fatal(err)
	}
	messages := &exprotov1.ReceivedMessagesRequest{Conn: "c", Messages: []*exproto.Message{{Payload: []byte("m")}}}
	if _, err := gateway.OnReceivedMessages(said(t), messages); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.OnTimerTimeout(said(t), &exprotov1.TimerTimeoutRequest{Conn: "c"}); err != nil {
		t.Fatal(err)
	}
	closed := &exprotov1.SocketClosedRequest{Conn: "c", Reason: "tcp_closed"}
	if _, err := gateway.OnSocketClosed(said(t), closed); err != nil || within(t, "OnClose", reasons) != "tcp_closed" {
		t.Fatal(err)
	}
	within(t, "the end of its context", conn.Context().Done())
	if a.sent["c"] != "him!" || conn.Offset() != 42 || a.expiry[0] != "3600" || a.retain[0] != "true" {
		t.Error(a.sent, conn.Offset(), a.expiry, a.retain)
	}
}

func TestV1AnswersErrorsForWhatItDoesNotKnow(t *testing.T) {
	_, gateway, _ := v1(t, scripted{bytes: func(context.Context, *exproto.Conn, []byte) error { panic("no") }})
	bytes := &exprotov1.ReceivedBytesRequest{Conn: "c", Bytes: []byte("hi")}
	if _, err := gateway.OnReceivedBytes(said(t), bytes); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if _, err := gateway.OnSocketCreated(said(t), &exprotov1.SocketCreatedRequest{Conn: "c"}); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.OnReceivedBytes(said(t), bytes); status.Code(err) != codes.Internal {
		t.Error(err)
	}
}

func TestV1MakesANewObjectWhereTheConnectionIsIntroducedAgain(t *testing.T) {
	conns := make(chan *exproto.Conn, 2)
	_, gateway, _ := v1(t, scripted{open: func(_ context.Context, c *exproto.Conn) error { conns <- c; return nil }})
	for _, attempt := range []string{"1", "2"} {
		created := &exprotov1.SocketCreatedRequest{Conn: "c"}
		if _, err := gateway.OnSocketCreated(said(t, "exproto-attempt", attempt), created); err != nil {
			t.Fatal(err)
		}
	}
	stale, fresh := <-conns, <-conns
	within(t, "the end of the stale one", stale.Context().Done())
	if fresh.Context().Err() != nil || fresh.Attempt() != 2 {
		t.Error("the new object is over")
	}
}

func TestBothServicesAreServedAtOnce(t *testing.T) {
	a, gateway, h := v1(t, scripted{})
	p := newPod(t)
	p.connect(h.address)
	d := p.open(1)
	p.bytes(1, "stream")
	p.until("the echo by the stream", func() bool { return string(d.sent) == "stream" })
	if _, err := gateway.OnSocketCreated(said(t), &exprotov1.SocketCreatedRequest{Conn: "c"}); err != nil {
		t.Fatal(err)
	}
	bytes := &exprotov1.ReceivedBytesRequest{Conn: "c", Bytes: []byte("unary")}
	if _, err := gateway.OnReceivedBytes(said(t), bytes); err != nil || a.sent["c"] != "unary" {
		t.Error(err, a.sent)
	}
}
