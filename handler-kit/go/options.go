package exproto

import (
	"log/slog"
	"time"

	"google.golang.org/grpc"
)

// Bounds that are no options: each stands for a rule of the contract or guards against a broken gateway.
const (
	// helloTimeout is how long a gateway may take for its hello.
	helloTimeout = 10 * time.Second
	// flushTimeout is how long the last acknowledgements may take at the end, after the callbacks.
	flushTimeout = 2 * time.Second
	// closedKept is how many ended connections a pod's table keeps, in case that their last acknowledgement is lost.
	closedKept = 1024
	// maxErrorText is how many bytes of a callback's error the gateway is told.
	maxErrorText = 1024
	// batchSlack is what a batch needs besides commands and acknowledgements.
	batchSlack = 2048
)

// A ServerOption is a setting of [NewServer].
type ServerOption func(*settings)

type settings struct {
	adapter         string
	adapterDial     []grpc.DialOption
	callTimeout     time.Duration
	server          []grpc.ServerOption
	maxEvents       uint32
	maxEventBytes   uint32
	maxBatchBytes   uint32
	detachedTimeout time.Duration
	shutdownTimeout time.Duration
	log             *slog.Logger
}

func defaults() settings {
	return settings{
		callTimeout:     10 * time.Second,
		maxEvents:       64,
		maxEventBytes:   256 << 10,
		maxBatchBytes:   1 << 20,
		detachedTimeout: 60 * time.Second,
		shutdownTimeout: 10 * time.Second,
		log:             slog.Default(),
	}
}

// WithAdapter is the switch to v1: besides the ordered stream, emqx.exproto.v1.ConnectionUnaryHandler is served, and
// the ConnectionAdapter at this host:port is called for its connections. Empty, the default: the ordered stream alone.
func WithAdapter(address string) ServerOption { return func(s *settings) { s.adapter = address } }

// WithAdapterDialOptions are for TLS to the adapter, and for the token of adapter.callers. Default: plain text, none.
func WithAdapterDialOptions(options ...grpc.DialOption) ServerOption {
	return func(s *settings) { s.adapterDial = append(s.adapterDial, options...) }
}

// WithCallTimeout is how long one call of the adapter may take. Default 10 s.
func WithCallTimeout(timeout time.Duration) ServerOption {
	return func(s *settings) { s.callTimeout = timeout }
}

// WithServerOptions are for the gRPC server, such as its TLS credentials. Default: plain text.
func WithServerOptions(options ...grpc.ServerOption) ServerOption {
	return func(s *settings) { s.server = append(s.server, options...) }
}

// WithEventCredits is how many events of a connection, and how many bytes in them, the gateway sends ahead of their
// acknowledgement; beyond these the device is not read. Defaults 64 and 256 KiB; 0: as many as the gateway allows.
func WithEventCredits(events, bytes uint32) ServerOption {
	return func(s *settings) { s.maxEvents, s.maxEventBytes = events, bytes }
}

// WithMaxBatchBytes is the largest batch that is taken from a gateway: 1 MiB unless told, at least 256 KiB.
func WithMaxBatchBytes(bytes uint32) ServerOption {
	return func(s *settings) { s.maxBatchBytes = max(bytes, 256<<10) }
}

// WithDetachedTimeout is for how long the object of a connection is kept whose stream has broken. When it has passed,
// OnClose is called with the reason "detached". Default 60 s.
func WithDetachedTimeout(timeout time.Duration) ServerOption {
	return func(s *settings) { s.detachedTimeout = timeout }
}

// WithShutdownTimeout is how long callbacks may take to finish what was received when the server ends. Default 10 s; the
// last acknowledgements may take 2 s more.
func WithShutdownTimeout(timeout time.Duration) ServerOption {
	return func(s *settings) { s.shutdownTimeout = timeout }
}

// WithLogger is where the kit logs. Default slog.Default().
func WithLogger(log *slog.Logger) ServerOption { return func(s *settings) { s.log = log } }
