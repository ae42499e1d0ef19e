package exproto

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/keepalive"

	"exproto.dev/handler-kit/go/exprotov1"
	"exproto.dev/handler-kit/go/streamv1"
)

// Library is what gateways log as the handler's library.
const Library = "exproto-handler-go/0.1.0"

// Server serves gateways: the ordered stream, v1 where it has an adapter, and grpc.health.v1.
type Server struct {
	settings
	accept   Accept
	instance string // names this process and its memory

	served  atomic.Bool
	pods    pods
	runners gate          // callbacks that run
	going   chan struct{} // closed when waiting for results has no use any more
	goodbye chan struct{} // closed when the streams are to end
}

// NewServer makes a server that calls accept for each connection. It takes no port yet.
func NewServer(accept Accept, options ...ServerOption) *Server {
	s := &Server{
		settings: defaults(),
		accept:   accept,
		instance: rand.Text(),
		going:    make(chan struct{}),
		goodbye:  make(chan struct{}),
	}
	for _, option := range options {
		option(&s.settings)
	}
	s.pods.server = s
	return s
}

// Run serves at address, as host:port, until SIGTERM or Ctrl-C, and then ends in order as [Server.Serve] does.
func (s *Server) Run(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	defer stop()
	return s.ListenAndServe(ctx, address)
}

// ListenAndServe takes the port, and serves until ctx is done.
func (s *Server) ListenAndServe(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("exproto: cannot serve at %s: %w", address, err)
	}
	return s.Serve(ctx, listener)
}

// Serve serves until ctx is done, and then ends in order: health says NOT_SERVING; what was received is finished, for
// [WithShutdownTimeout] at most; the gateways get the last acknowledgements and a goodbye, for 2 s at most. What is
// received after ctx is done is not acknowledged: gateways give it to another handler, with its connection, and OnClose
// is not called. A Server serves once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	if s.served.Swap(true) {
		listener.Close()
		return errors.New("exproto: a Server serves once; make another one")
	}
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.maxRequest()),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.ChainStreamInterceptor(s.endWatches),
	}, s.server...)...)
	streamv1.RegisterConnectionStreamServer(server, &streamService{server: s})
	defer s.pods.abandon()
	if s.adapter != "" {
		channel, err := s.dialAdapter()
		if err != nil {
			listener.Close()
			return err
		}
		defer channel.Close()
		unary := newUnaryService(s, channel)
		defer unary.abandon()
		exprotov1.RegisterConnectionUnaryHandlerServer(server, unary)
	}
	checks := newHealth(server)

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.log.Info("serving", "address", listener.Addr().String(), "adapter", s.adapter)
	select {
	case err := <-ended:
		return fmt.Errorf("exproto: serving at %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.end(server, checks)
	return nil
}

// end is the end in order.
func (s *Server) end(server *grpc.Server, checks *health.Server) {
	idle := s.runners.close()
	checks.Shutdown()
	s.pods.release()
	stopped := make(chan struct{})
	stop := func() { server.GracefulStop(); close(stopped) }
	if s.adapter != "" {
		go stop() // v1 knows no goodbye: gateways are told by HTTP/2, and callbacks that run have until the end of this
	}
	select {
	case <-idle:
	case <-time.After(s.shutdownTimeout):
		s.log.Warn("callbacks have not ended in time; their events are left to the next handler",
			"timeout", s.shutdownTimeout)
	}
	close(s.going)
	close(s.goodbye)
	if s.adapter == "" {
		go stop()
	}
	select {
	case <-stopped:
	case <-time.After(flushTimeout):
		server.Stop()
	}
}

// maxRequest is what gRPC itself refuses beyond: of v1 its usual 4 MiB.
func (s *Server) maxRequest() int {
	if s.adapter == "" {
		return int(s.maxBatchBytes)
	}
	return max(int(s.maxBatchBytes), 4<<20)
}

func (s *Server) dialAdapter() (*grpc.ClientConn, error) {
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)), // an adapter that comes back is worth the call's timeout
	}, s.adapterDial...)
	channel, err := grpc.NewClient(s.adapter, options...)
	if err != nil {
		return nil, fmt.Errorf("exproto: adapter %q, which is to be host:port: %w", s.adapter, err)
	}
	return channel, nil
}

// isGoing says whether callbacks have no time left.
func (s *Server) isGoing() bool {
	select {
	case <-s.going:
		return true
	default:
		return false
	}
}

// gate counts the goroutines that run callbacks, and lets no more begin once it is closed.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{}
}

// enter says whether one more may begin.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.idle)
	}
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// close returns what is closed when nobody is inside any more.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.idle = make(chan struct{})
	if g.inside == 0 {
		close(g.idle)
	}
	return g.idle
}
