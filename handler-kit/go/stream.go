package exproto

import (
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"exproto.dev/handler-kit/go/streamv1"
)

// version is the highest version of the stream that this kit speaks.
const version = 1

// streamService is the ordered stream as gRPC calls it.
type streamService struct {
	streamv1.UnimplementedConnectionStreamServer
	server *Server
}

// Run is one lane of one pod.
func (s *streamService) Run(rpc grpc.BidiStreamingServer[streamv1.GatewayBatch, streamv1.HandlerBatch]) error {
	stream := &stream{
		server:  s.server,
		rpc:     rpc,
		log:     s.server.log,
		greeted: make(chan struct{}),
		ended:   make(chan error, 2),
		writer:  writer{wake: make(chan struct{}, 1)},
	}
	go stream.readAll()
	err := stream.supervise()
	s.server.pods.leave(stream)
	return err
}

// stream is one call of Run: a goroutine that reads, one that writes, and one that watches over both.
type stream struct {
	server *Server
	rpc    grpc.BidiStreamingServer[streamv1.GatewayBatch, streamv1.HandlerBatch]
	log    *slog.Logger
	ended  chan error

	greeted chan struct{} // closed when both have said hello; the fields up to the next gap are set before that
	pod     *pod
	limits  limits
	beat    time.Duration

	heard  atomic.Uint64 // batches read
	left   atomic.Bool   // set before its connections are detached
	writer writer
}

// limits are what a gateway takes of the commands of one connection, and in one batch.
type limits struct {
	commands, commandBytes, batchBytes int
}

// supervise returns when the stream is to end, with the status that the gateway gets.
func (s *stream) supervise() error {
	hello := time.NewTimer(helloTimeout)
	defer hello.Stop()
	select {
	case <-s.greeted:
	case err := <-s.ended:
		return err
	case <-hello.C:
		return status.Error(codes.DeadlineExceeded, "no hello came")
	case <-s.server.goodbye:
		return status.Error(codes.Unavailable, "the handler is shutting down")
	}

	ticker := time.NewTicker(max(s.beat/2, time.Millisecond))
	defer ticker.Stop()
	goodbye := s.server.goodbye
	heard, silent := s.heard.Load(), 0
	for {
		select {
		case err := <-s.ended:
			return err
		case <-goodbye:
			goodbye = nil
			s.writer.finish()
		case <-ticker.C:
			s.writer.tick()
			silent++
			if now := s.heard.Load(); now != heard {
				heard, silent = now, 0
			}
			if silent > 6 {
				s.log.Warn("a gateway is silent; its stream ends")
				return status.Errorf(codes.DeadlineExceeded, "nothing was heard for %s", 3*s.beat)
			}
		}
	}
}

// readAll reads until the stream ends. A gateway that has said its last still gets what there is to say.
func (s *stream) readAll() {
	err := s.read()
	if err == nil && s.pod != nil {
		s.writer.finish()
		return
	}
	s.ended <- err
}

// read takes batches until the stream ends. It waits for nothing but the next batch.
func (s *stream) read() error {
	for first := true; ; first = false {
		batch, err := s.rpc.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if !s.server.isGoing() {
				s.log.Info("a stream has broken", "error", err)
			}
			return err
		}
		s.heard.Add(1)
		if hello := batch.GetHello(); first != (hello != nil) {
			if first {
				return s.refuse(codes.InvalidArgument, "the first batch holds no hello")
			}
			return s.refuse(codes.InvalidArgument, "a second hello")
		} else if first {
			if err := s.greet(hello); err != nil {
				return err
			}
		}
		s.take(batch)
	}
}

// greet checks the gateway's hello, answers it, and starts the writer.
func (s *stream) greet(hello *streamv1.GatewayHello) error {
	if hello.GetVersion() < version {
		return s.refuse(codes.FailedPrecondition, "GatewayHello.version is 0, where 1 is the lowest there is")
	}
	for name, value := range map[string]uint32{
		"max_commands": hello.GetMaxCommands(), "max_command_bytes": hello.GetMaxCommandBytes(),
		"max_batch_bytes": hello.GetMaxBatchBytes(), "heartbeat_ms": hello.GetHeartbeatMs(),
	} {
		if value == 0 {
			return s.refuse(codes.InvalidArgument, "GatewayHello."+name+" is 0")
		}
	}
	if hello.GetMaxBatchBytes() < 2*batchSlack {
		return s.refuse(codes.InvalidArgument, "GatewayHello.max_batch_bytes is less than 4096")
	}
	s.log = s.log.With("pod", hello.GetPod(), "lane", hello.GetLane())
	s.beat = time.Duration(hello.GetHeartbeatMs()) * time.Millisecond
	s.limits = limits{
		int(hello.GetMaxCommands()), int(hello.GetMaxCommandBytes()), int(hello.GetMaxBatchBytes()) - batchSlack,
	}
	s.pod = s.server.pods.join(hello.GetPod(), hello.GetEpoch())
	close(s.greeted)
	if err := s.rpc.Send(&streamv1.HandlerBatch{Hello: &streamv1.HandlerHello{
		Version:       version,
		Instance:      s.server.instance,
		MaxEvents:     s.server.maxEvents,
		MaxEventBytes: s.server.maxEventBytes,
		MaxBatchBytes: s.server.maxBatchBytes,
		Library:       Library,
	}}); err != nil {
		return err
	}
	s.log.Info("a stream has begun", "epoch", hello.GetEpoch())
	go func() { s.ended <- s.write() }()
	return nil
}

// refuse says what is wrong with a gateway, here and there.
func (s *stream) refuse(code codes.Code, message string) error {
	s.log.Error("a gateway does not keep the rules; its stream ends", "error", message)
	return status.Error(code, message)
}

// take hands on what is in a batch, in the order of the fields.
func (s *stream) take(batch *streamv1.GatewayBatch) {
	for _, attach := range batch.GetAttaches() {
		s.pod.attach(s, attach)
	}
	for _, event := range batch.GetEvents() {
		if o := s.pod.find(event.GetConn()); o != nil {
			o.receive(s, event)
		} else {
			s.log.Debug("an event of a connection that is not known", "conn", event.GetConn())
		}
	}
	for _, progress := range batch.GetProgress() {
		if o := s.pod.find(progress.GetConn()); o != nil {
			o.progress(s, progress.GetDone())
		}
	}
	if drain := batch.GetDrain(); drain != nil {
		s.log.Info("a pod is about to go", "within", time.Duration(drain.GetWithinMs())*time.Millisecond)
	}
}
