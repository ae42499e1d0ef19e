package exproto

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"exproto.dev/handler-kit/go/exprotov1"
	"exproto.dev/handler-kit/go/streamv1"
)

// unaryService is emqx.exproto.v1.ConnectionUnaryHandler: the same objects, called one callback at a time. Its table has
// no bound but the gateways' number of connections: each leaves it with OnSocketClosed.
type unaryService struct {
	exprotov1.UnimplementedConnectionUnaryHandlerServer
	server  *Server
	adapter exprotov1.ConnectionAdapterClient

	mu    sync.Mutex
	conns map[string]*unary
}

// unary is one connection by v1.
type unary struct {
	conn *Conn
	end  context.CancelCauseFunc

	turn sync.Mutex // held by the callback that runs
	user callbacks
}

func newUnaryService(server *Server, channel *grpc.ClientConn) *unaryService {
	return &unaryService{
		server:  server,
		adapter: exprotov1.NewConnectionAdapterClient(channel),
		conns:   map[string]*unary{},
	}
}

var success = &exprotov1.EmptySuccess{}

func (u *unaryService) OnSocketCreated(
	ctx context.Context, request *exprotov1.SocketCreatedRequest,
) (*exprotov1.EmptySuccess, error) {
	life, end := context.WithCancelCause(context.Background())
	fresh := &unary{conn: newConn(introduction(ctx, request), life), end: end}
	fresh.conn.link = &adapterLink{fresh.conn, u.adapter, u.server.callTimeout}
	u.mu.Lock()
	stale := u.conns[request.GetConn()]
	u.conns[request.GetConn()] = fresh
	u.mu.Unlock()
	if stale != nil { // the gateway introduces it once more: what the old object knew may be wrong
		stale.end(ErrDetached)
	}
	return u.call(fresh, func() error { return fresh.user.open(life, u.server.accept, fresh.conn) })
}

func (u *unaryService) OnReceivedBytes(
	ctx context.Context, request *exprotov1.ReceivedBytesRequest,
) (*exprotov1.EmptySuccess, error) {
	known, err := u.find(request.GetConn())
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseUint(first(ctx, "exproto-offset"), 10, 64)
	return u.call(known, func() error {
		if err == nil { // EMQX tells none: then it is counted
			known.conn.setOffset(offset)
		}
		defer func() { known.conn.setOffset(known.conn.Offset() + uint64(len(request.GetBytes()))) }()
		return known.user.bytes(known.conn.ctx, request.GetBytes())
	})
}

func (u *unaryService) OnReceivedMessages(
	_ context.Context, request *exprotov1.ReceivedMessagesRequest,
) (*exprotov1.EmptySuccess, error) {
	known, err := u.find(request.GetConn())
	if err != nil {
		return nil, err
	}
	return u.call(known, func() error { return known.user.messages(known.conn.ctx, request.GetMessages()) })
}

func (u *unaryService) OnTimerTimeout(
	_ context.Context, request *exprotov1.TimerTimeoutRequest,
) (*exprotov1.EmptySuccess, error) {
	known, err := u.find(request.GetConn())
	if err != nil {
		return nil, err
	}
	return u.call(known, func() error { return known.user.timer(known.conn.ctx) })
}

// OnSocketClosed of a connection that is not known is no error: it is over, as asked.
func (u *unaryService) OnSocketClosed(
	_ context.Context, request *exprotov1.SocketClosedRequest,
) (*exprotov1.EmptySuccess, error) {
	u.mu.Lock()
	known := u.conns[request.GetConn()]
	delete(u.conns, request.GetConn())
	u.mu.Unlock()
	if known == nil {
		return success, nil
	}
	defer known.end(ErrClosed)
	return u.call(known, func() error { return known.user.closed(known.conn.ctx, request.GetReason()) })
}

func (u *unaryService) find(conn string) (*unary, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.conns[conn]; known != nil {
		return known, nil
	}
	return nil, status.Error(codes.NotFound, "the connection is not known here: this handler has started after it")
}

// abandon ends the contexts of all connections, without a word: the process goes.
func (u *unaryService) abandon() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, known := range u.conns {
		known.end(ErrShutdown)
	}
}

// call runs a callback after the one before it. Its error closes the connection.
func (u *unaryService) call(known *unary, callback func() error) (*exprotov1.EmptySuccess, error) {
	known.turn.Lock()
	defer known.turn.Unlock()
	err := callback()
	if err == nil {
		return success, nil
	}
	complain(u.server.log, known.conn, err, false)
	return nil, status.Error(codes.Internal, errorText(err))
}

// introduction is what OnSocketCreated and its metadata say, as the ordered stream says it.
func introduction(ctx context.Context, request *exprotov1.SocketCreatedRequest) *streamv1.Attach {
	attach := &streamv1.Attach{
		Id:        request.GetConn(),
		Conninfo:  request.GetConninfo(),
		Listener:  first(ctx, "exproto-listener"),
		Transport: first(ctx, "exproto-transport"),
		Attempt:   1,
	}
	if attempt, err := strconv.ParseUint(first(ctx, "exproto-attempt"), 10, 32); err == nil {
		attach.Attempt = uint32(attempt)
	}
	if offset, err := strconv.ParseUint(first(ctx, "exproto-offset"), 10, 64); err == nil {
		attach.Offset = offset
	}
	of, _ := metadata.FromIncomingContext(ctx)
	for name, values := range of {
		name = strings.TrimSuffix(name, "-bin") // gRPC has decoded it
		switch name {
		case "exproto-listener", "exproto-transport", "exproto-attempt", "exproto-offset", "exproto-adapter-address":
			continue
		}
		if !strings.HasPrefix(name, "exproto-") {
			continue
		}
		for _, value := range values {
			attach.Details = append(attach.Details, &streamv1.Detail{Name: name, Value: []byte(value)})
		}
	}
	return attach
}

// first is the first value of the call's metadata by that name, or nothing.
func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
