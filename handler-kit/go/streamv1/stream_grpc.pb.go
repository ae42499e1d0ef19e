// The ordered stream: what a gateway pod and a handler say to each other about many connections on one gRPC stream.
//
// It carries what the services of emqx.exproto.v1 carry, in batches, and it outlives what breaks: a socket stays open
// while its handler restarts, and nothing is lost, doubled or reordered meanwhile.
//
// WORDS
//   A *connection* is one device's socket. A *client* is a connection after Authenticate. A *lane* is one of several
//   streams from one pod to one handler endpoint; a connection stays on its lane. An *event* is something that
//   happened to a connection, a *command* something that the handler wants done with it. A connection is *attached*
//   to the one stream that its events go to.
//
// THE STREAM
//   1. The gateway opens Run; its first batch holds `hello`, and so does the handler's first. The handler answers with
//      its hello at once: it does not wait for events. Nothing else is sent before both have said hello.
//   2. Each message is a batch. Whoever has something to say says it at once, with all that has come up meanwhile;
//      nobody waits for a batch to fill. Within a batch the fields are taken in the order of their numbers, and each
//      list in its own order.
//   3. Both sides ignore batches that are empty.
//
// EVENTS
//   4. `Attach` introduces a connection to a stream, before its first event there. It is no event, and not acknowledged.
//   5. Events of a connection are numbered 1, 2, 3, … over its whole life, across streams and handlers. The handler
//      takes them in that order and acknowledges them cumulatively: an Ack says that this event and all before it
//      are done with. It may acknowledge what it was shown, on this stream or an earlier one, and nothing beyond.
//   6. When a stream breaks, its connections are attached to another one, to this handler or to another. Their events
//      after `Attach.acknowledged` are sent again, with the same numbers and contents, marked `resent`. A handler that
//      knows the connection, and whose own instance `Attach.instance` names, goes on where it was: it ignores the events
//      that it has been shown already, except that it still owes their acknowledgement. Any other handler begins anew,
//      also where it knew the connection once. Of two Attaches of a connection the one with the higher `attempt`
//      counts, in whatever order they are read; events that come on any other stream than that one's are ignored.
//   7. While `HandlerHello.max_events` events or `max_event_bytes` bytes of a connection wait for acknowledgement, no
//      more are sent, and the device is not read. A Result and `Closed` use up no credits.
//   8. `Closed` is a connection's last event: no Result follows it. Of the commands that come with its acknowledgement
//      only `raw_publish` still has an effect. Once it is acknowledged, or the gateway has given up on that, both sides
//      forget the connection. Its number is not used again while the pod lives.
//
// COMMANDS
//   9. Commands of a connection are numbered 1, 2, 3, … in the same way, by the handler. The gateway accepts them in
//      this order, carries each out once, and one after the other. A number that was accepted before is ignored, so
//      a command may be sent again.
//  10. The gateway says in `Attach.commands_accepted` which command it has accepted last. A handler that knows the
//      connection sends again what comes after that; one that does not goes on with the number after it.
//  11. Of one batch the commands are accepted before its acknowledgements, and both or neither: a handler that puts
//      the commands of a callback and the acknowledgement of its event into one batch has each effect exactly once,
//      even if it is killed at any moment.
//  12. At most `GatewayHello.max_commands` and `max_command_bytes` of a connection may wait to be carried out, where a
//      command counts as its contents and 64 bytes more; a single command may be larger. `Progress` says what was
//      carried out. It comes with the connection's next event, when an eighth of the credits is used up, once none waits
//      any more that had to, or within a heartbeat. A handler that begins anew does not know how many bytes the commands
//      after `Attach.commands_done` hold; until they are done it sends none. At most 65,536 results of a connection may
//      wait for acknowledgement.
//  13. A command with `result` set is followed by the event `Result`. Without it nothing is said about its failure,
//      which the gateway logs; a Send that fails closes the connection.
//
// FAULTS
//  14. What is wrong about one connection (an acknowledgement of an event that was never shown, a gap in the command
//      numbers, more than the credits, a command without contents) closes that connection with `handler_error`.
//      Commands and acknowledgements for connections that are not attached to the stream are ignored and counted:
//      the connection may just have ended.
//  15. What is wrong about the stream (no hello, a batch larger than `max_batch_bytes`, bytes that are no batch) ends
//      it: by the handler with a status that says why, by the gateway with a reset, and its log says why. The
//      connections are attached again.
//  16. Each side sends `heartbeat`, a number other than 0, after `GatewayHello.heartbeat_ms` without sending anything
//      else. A side that hears nothing for three times that long ends the stream.
//
// GOING
//  17. `Drain` tells the handler that the pod is about to go: its connections will be closed over the time named.
//  18. `Goodbye` tells the gateway that the handler is about to go: no further event is sent on the stream, but for the
//      results of commands. Once what was sent is acknowledged, the connections are attached elsewhere, and when none is
//      left the gateway ends its side. Then the handler ends the stream. It may do so earlier; what it did not
//      acknowledge is sent again elsewhere.
//
// VERSIONS
//  19. Fields are only ever added. A receiver ignores fields it does not know, and an absent field means what it meant
//      before the field existed.
//  20. New kinds of events and commands, and new meanings, are used only after the other side has named them in
//      `capabilities`. An event whose kind the handler does not know is acknowledged and otherwise ignored.
//  21. Each side says the highest `version` it speaks; the lower of the two counts. A version is raised only where
//      capabilities do not do; a side that cannot speak the lower one ends the stream with FAILED_PRECONDITION.

// Code generated by protoc-gen-go-grpc. DO NOT EDIT.
// versions:
// - protoc-gen-go-grpc v1.6.2
// - protoc             (unknown)
// source: exproto/stream/v1/stream.proto

package streamv1

import (
	context "context"
	grpc "google.golang.org/grpc"
	codes "google.golang.org/grpc/codes"
	status "google.golang.org/grpc/status"
)

// This is a compile-time assertion to ensure that this generated file
// is compatible with the grpc package it is being compiled against.
// Requires gRPC-Go v1.64.0 or later.
const _ = grpc.SupportPackageIsVersion9

const (
	ConnectionStream_Run_FullMethodName = "/exproto.stream.v1.ConnectionStream/Run"
)

// ConnectionStreamClient is the client API for ConnectionStream service.
//
// For semantics around ctx use and closing/ending streaming RPCs, please refer to https://pkg.go.dev/google.golang.org/grpc/?tab=doc#ClientConn.NewStream.
//
// Served by handlers, called by gateway pods.
type ConnectionStreamClient interface {
	// One lane. It lasts until one side goes.
	Run(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[GatewayBatch, HandlerBatch], error)
}

type connectionStreamClient struct {
	cc grpc.ClientConnInterface
}

func NewConnectionStreamClient(cc grpc.ClientConnInterface) ConnectionStreamClient {
	return &connectionStreamClient{cc}
}

func (c *connectionStreamClient) Run(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[GatewayBatch, HandlerBatch], error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	stream, err := c.cc.NewStream(ctx, &ConnectionStream_ServiceDesc.Streams[0], ConnectionStream_Run_FullMethodName, cOpts...)
	if err != nil {
		return nil, err
	}
	x := &grpc.GenericClientStream[GatewayBatch, HandlerBatch]{ClientStream: stream}
	return x, nil
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type ConnectionStream_RunClient = grpc.BidiStreamingClient[GatewayBatch, HandlerBatch]

// ConnectionStreamServer is the server API for ConnectionStream service.
// All implementations must embed UnimplementedConnectionStreamServer
// for forward compatibility.
//
// Served by handlers, called by gateway pods.
type ConnectionStreamServer interface {
	// One lane. It lasts until one side goes.
	Run(grpc.BidiStreamingServer[GatewayBatch, HandlerBatch]) error
	mustEmbedUnimplementedConnectionStreamServer()
}

// UnimplementedConnectionStreamServer must be embedded to have
// forward compatible implementations.
//
// NOTE: this should be embedded by value instead of pointer to avoid a nil
// pointer dereference when methods are called.
type UnimplementedConnectionStreamServer struct{}

func (UnimplementedConnectionStreamServer) Run(grpc.BidiStreamingServer[GatewayBatch, HandlerBatch]) error {
	return status.Error(codes.Unimplemented, "method Run not implemented")
}
func (UnimplementedConnectionStreamServer) mustEmbedUnimplementedConnectionStreamServer() {}
func (UnimplementedConnectionStreamServer) testEmbeddedByValue()                          {}

// UnsafeConnectionStreamServer may be embedded to opt out of forward compatibility for this service.
// Use of this interface is not recommended, as added methods to ConnectionStreamServer will
// result in compilation errors.
type UnsafeConnectionStreamServer interface {
	mustEmbedUnimplementedConnectionStreamServer()
}

func RegisterConnectionStreamServer(s grpc.ServiceRegistrar, srv ConnectionStreamServer) {
	// If the following call panics, it indicates UnimplementedConnectionStreamServer was
	// embedded by pointer and is nil.  This will cause panics if an
	// unimplemented method is ever invoked, so we test this at initialization
	// time to prevent it from happening at runtime later due to I/O.
	if t, ok := srv.(interface{ testEmbeddedByValue() }); ok {
		t.testEmbeddedByValue()
	}
	s.RegisterService(&ConnectionStream_ServiceDesc, srv)
}

func _ConnectionStream_Run_Handler(srv interface{}, stream grpc.ServerStream) error {
	return srv.(ConnectionStreamServer).Run(&grpc.GenericServerStream[GatewayBatch, HandlerBatch]{ServerStream: stream})
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type ConnectionStream_RunServer = grpc.BidiStreamingServer[GatewayBatch, HandlerBatch]

// ConnectionStream_ServiceDesc is the grpc.ServiceDesc for ConnectionStream service.
// It's only intended for direct use with grpc.RegisterService,
// and not to be introspected or modified (even as a copy)
var ConnectionStream_ServiceDesc = grpc.ServiceDesc{
	ServiceName: "exproto.stream.v1.ConnectionStream",
	HandlerType: (*ConnectionStreamServer)(nil),
	Methods:     []grpc.MethodDesc{},
	Streams: []grpc.StreamDesc{
		{
			StreamName:    "Run",
			Handler:       _ConnectionStream_Run_Handler,
			ServerStreams: true,
			ClientStreams: true,
		},
	},
	Metadata: "exproto/stream/v1/stream.proto",
}
