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

// Code generated by protoc-gen-go. DO NOT EDIT.
// versions:
// 	protoc-gen-go v1.36.12
// 	protoc        (unknown)
// source: exproto/stream/v1/stream.proto

package streamv1

import (
	exprotov1 "exproto.dev/handler-kit/go/exprotov1"
	protoreflect "google.golang.org/protobuf/reflect/protoreflect"
	protoimpl "google.golang.org/protobuf/runtime/protoimpl"
	reflect "reflect"
	sync "sync"
	unsafe "unsafe"
)

const (
	// Verify that this generated code is sufficiently up-to-date.
	_ = protoimpl.EnforceVersion(20 - protoimpl.MinVersion)
	// Verify that runtime/protoimpl is sufficiently up-to-date.
	_ = protoimpl.EnforceVersion(protoimpl.MaxVersion - 20)
)

// What a pod says.
type GatewayBatch struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// In the first batch, and only there.
	Hello *GatewayHello `protobuf:"bytes,1,opt,name=hello,proto3" json:"hello,omitempty"`
	// Connections whose events go to this stream from now on.
	Attaches []*Attach `protobuf:"bytes,2,rep,name=attaches,proto3" json:"attaches,omitempty"`
	Events   []*Event  `protobuf:"bytes,3,rep,name=events,proto3" json:"events,omitempty"`
	// What was carried out of each connection's commands.
	Progress []*Progress `protobuf:"bytes,4,rep,name=progress,proto3" json:"progress,omitempty"`
	// A sign of life; rule 16.
	Heartbeat uint64 `protobuf:"varint,5,opt,name=heartbeat,proto3" json:"heartbeat,omitempty"`
	// The pod is about to go.
	Drain         *Drain `protobuf:"bytes,6,opt,name=drain,proto3" json:"drain,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *GatewayBatch) Reset() {
	*x = GatewayBatch{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[0]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GatewayBatch) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GatewayBatch) ProtoMessage() {}

func (x *GatewayBatch) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[0]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GatewayBatch.ProtoReflect.Descriptor instead.
func (*GatewayBatch) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{0}
}

func (x *GatewayBatch) GetHello() *GatewayHello {
	if x != nil {
		return x.Hello
	}
	return nil
}

func (x *GatewayBatch) GetAttaches() []*Attach {
	if x != nil {
		return x.Attaches
	}
	return nil
}

func (x *GatewayBatch) GetEvents() []*Event {
	if x != nil {
		return x.Events
	}
	return nil
}

func (x *GatewayBatch) GetProgress() []*Progress {
	if x != nil {
		return x.Progress
	}
	return nil
}

func (x *GatewayBatch) GetHeartbeat() uint64 {
	if x != nil {
		return x.Heartbeat
	}
	return 0
}

func (x *GatewayBatch) GetDrain() *Drain {
	if x != nil {
		return x.Drain
	}
	return nil
}

// What a handler says.
type HandlerBatch struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// In the first batch, and only there.
	Hello    *HandlerHello `protobuf:"bytes,1,opt,name=hello,proto3" json:"hello,omitempty"`
	Commands []*Command    `protobuf:"bytes,2,rep,name=commands,proto3" json:"commands,omitempty"`
	Acks     []*Ack        `protobuf:"bytes,3,rep,name=acks,proto3" json:"acks,omitempty"`
	// A sign of life; rule 16.
	Heartbeat uint64 `protobuf:"varint,4,opt,name=heartbeat,proto3" json:"heartbeat,omitempty"`
	// The handler is about to go.
	Goodbye       *Goodbye `protobuf:"bytes,5,opt,name=goodbye,proto3" json:"goodbye,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *HandlerBatch) Reset() {
	*x = HandlerBatch{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[1]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *HandlerBatch) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*HandlerBatch) ProtoMessage() {}

func (x *HandlerBatch) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[1]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use HandlerBatch.ProtoReflect.Descriptor instead.
func (*HandlerBatch) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{1}
}

func (x *HandlerBatch) GetHello() *HandlerHello {
	if x != nil {
		return x.Hello
	}
	return nil
}

func (x *HandlerBatch) GetCommands() []*Command {
	if x != nil {
		return x.Commands
	}
	return nil
}

func (x *HandlerBatch) GetAcks() []*Ack {
	if x != nil {
		return x.Acks
	}
	return nil
}

func (x *HandlerBatch) GetHeartbeat() uint64 {
	if x != nil {
		return x.Heartbeat
	}
	return 0
}

func (x *HandlerBatch) GetGoodbye() *Goodbye {
	if x != nil {
		return x.Goodbye
	}
	return nil
}

type GatewayHello struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The highest version that the pod speaks: 1.
	Version uint32 `protobuf:"varint,1,opt,name=version,proto3" json:"version,omitempty"`
	// What the pod understands beyond its version.
	Capabilities []string `protobuf:"bytes,2,rep,name=capabilities,proto3" json:"capabilities,omitempty"`
	// The pod's name.
	Pod string `protobuf:"bytes,3,opt,name=pod,proto3" json:"pod,omitempty"`
	// Differs from one start of the pod to the next: connections of another epoch are gone.
	Epoch uint64 `protobuf:"varint,4,opt,name=epoch,proto3" json:"epoch,omitempty"`
	// Which of the pod's lanes to this endpoint it is, from 0.
	Lane uint32 `protobuf:"varint,5,opt,name=lane,proto3" json:"lane,omitempty"`
	// Where the pod's ConnectionAdapter listens, as host:port; empty where nobody has said.
	AdapterAddress string `protobuf:"bytes,6,opt,name=adapter_address,json=adapterAddress,proto3" json:"adapter_address,omitempty"`
	// Credits for the commands of each connection; rule 12.
	MaxCommands     uint32 `protobuf:"varint,7,opt,name=max_commands,json=maxCommands,proto3" json:"max_commands,omitempty"`
	MaxCommandBytes uint32 `protobuf:"varint,8,opt,name=max_command_bytes,json=maxCommandBytes,proto3" json:"max_command_bytes,omitempty"`
	// The largest HandlerBatch that is taken.
	MaxBatchBytes uint32 `protobuf:"varint,9,opt,name=max_batch_bytes,json=maxBatchBytes,proto3" json:"max_batch_bytes,omitempty"`
	// Rule 16, in milliseconds.
	HeartbeatMs   uint32 `protobuf:"varint,10,opt,name=heartbeat_ms,json=heartbeatMs,proto3" json:"heartbeat_ms,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *GatewayHello) Reset() {
	*x = GatewayHello{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[2]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GatewayHello) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GatewayHello) ProtoMessage() {}

func (x *GatewayHello) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[2]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GatewayHello.ProtoReflect.Descriptor instead.
func (*GatewayHello) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{2}
}

func (x *GatewayHello) GetVersion() uint32 {
	if x != nil {
		return x.Version
	}
	return 0
}

func (x *GatewayHello) GetCapabilities() []string {
	if x != nil {
		return x.Capabilities
	}
	return nil
}

func (x *GatewayHello) GetPod() string {
	if x != nil {
		return x.Pod
	}
	return ""
}

func (x *GatewayHello) GetEpoch() uint64 {
	if x != nil {
		return x.Epoch
	}
	return 0
}

func (x *GatewayHello) GetLane() uint32 {
	if x != nil {
		return x.Lane
	}
	return 0
}

func (x *GatewayHello) GetAdapterAddress() string {
	if x != nil {
		return x.AdapterAddress
	}
	return ""
}

func (x *GatewayHello) GetMaxCommands() uint32 {
	if x != nil {
		return x.MaxCommands
	}
	return 0
}

func (x *GatewayHello) GetMaxCommandBytes() uint32 {
	if x != nil {
		return x.MaxCommandBytes
	}
	return 0
}

func (x *GatewayHello) GetMaxBatchBytes() uint32 {
	if x != nil {
		return x.MaxBatchBytes
	}
	return 0
}

func (x *GatewayHello) GetHeartbeatMs() uint32 {
	if x != nil {
		return x.HeartbeatMs
	}
	return 0
}

type HandlerHello struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The highest version that the handler speaks: 1.
	Version uint32 `protobuf:"varint,1,opt,name=version,proto3" json:"version,omitempty"`
	// What the handler understands beyond its version.
	Capabilities []string `protobuf:"bytes,2,rep,name=capabilities,proto3" json:"capabilities,omitempty"`
	// Names the process and its memory, in 1 to 64 bytes: another one after each start, the same on all its streams.
	Instance string `protobuf:"bytes,3,opt,name=instance,proto3" json:"instance,omitempty"`
	// Credits for the events of each connection; rule 7. 0: as many as the gateway allows.
	MaxEvents     uint32 `protobuf:"varint,4,opt,name=max_events,json=maxEvents,proto3" json:"max_events,omitempty"`
	MaxEventBytes uint32 `protobuf:"varint,5,opt,name=max_event_bytes,json=maxEventBytes,proto3" json:"max_event_bytes,omitempty"`
	// The largest GatewayBatch that is taken. 0: 1 MiB. At least 256 KiB.
	MaxBatchBytes uint32 `protobuf:"varint,6,opt,name=max_batch_bytes,json=maxBatchBytes,proto3" json:"max_batch_bytes,omitempty"`
	// What the handler is written with, for logs: "exproto-handler-python/0.1.0".
	Library       string `protobuf:"bytes,7,opt,name=library,proto3" json:"library,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *HandlerHello) Reset() {
	*x = HandlerHello{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[3]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *HandlerHello) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*HandlerHello) ProtoMessage() {}

func (x *HandlerHello) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[3]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use HandlerHello.ProtoReflect.Descriptor instead.
func (*HandlerHello) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{3}
}

func (x *HandlerHello) GetVersion() uint32 {
	if x != nil {
		return x.Version
	}
	return 0
}

func (x *HandlerHello) GetCapabilities() []string {
	if x != nil {
		return x.Capabilities
	}
	return nil
}

func (x *HandlerHello) GetInstance() string {
	if x != nil {
		return x.Instance
	}
	return ""
}

func (x *HandlerHello) GetMaxEvents() uint32 {
	if x != nil {
		return x.MaxEvents
	}
	return 0
}

func (x *HandlerHello) GetMaxEventBytes() uint32 {
	if x != nil {
		return x.MaxEventBytes
	}
	return 0
}

func (x *HandlerHello) GetMaxBatchBytes() uint32 {
	if x != nil {
		return x.MaxBatchBytes
	}
	return 0
}

func (x *HandlerHello) GetLibrary() string {
	if x != nil {
		return x.Library
	}
	return ""
}

// A connection, as the stream is to know it.
type Attach struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The connection's number, by which this pod's streams call it.
	Conn uint64 `protobuf:"varint,1,opt,name=conn,proto3" json:"conn,omitempty"`
	// Its name, by which the ConnectionAdapter knows it: `conn` in emqx.exproto.v1.
	Id       string              `protobuf:"bytes,2,opt,name=id,proto3" json:"id,omitempty"`
	Conninfo *exprotov1.ConnInfo `protobuf:"bytes,3,opt,name=conninfo,proto3" json:"conninfo,omitempty"`
	// The name of its listener.
	Listener string `protobuf:"bytes,4,opt,name=listener,proto3" json:"listener,omitempty"`
	// tcp, tls, udp, dtls, ws or wss.
	Transport string `protobuf:"bytes,5,opt,name=transport,proto3" json:"transport,omitempty"`
	// What else is known of the device: certificate, SNI, PROXY. The names are those that OnSocketCreated has in its
	// metadata, without "-bin"; a name may come more than once.
	Details []*Detail `protobuf:"bytes,6,rep,name=details,proto3" json:"details,omitempty"`
	// 1 the first time that a handler hears of the connection, and one more each time after that.
	Attempt uint32 `protobuf:"varint,7,opt,name=attempt,proto3" json:"attempt,omitempty"`
	// The handler instance that last acknowledged an event or gave a command; while none has, the one that was last told
	// of the connection. Empty the first time.
	Instance string `protobuf:"bytes,8,opt,name=instance,proto3" json:"instance,omitempty"`
	// The last event that was acknowledged; 0 for none. The next one to be sent is the one after it.
	Acknowledged uint64 `protobuf:"varint,9,opt,name=acknowledged,proto3" json:"acknowledged,omitempty"`
	// The last command that was accepted, and the last that was carried out.
	CommandsAccepted uint64 `protobuf:"varint,10,opt,name=commands_accepted,json=commandsAccepted,proto3" json:"commands_accepted,omitempty"`
	CommandsDone     uint64 `protobuf:"varint,11,opt,name=commands_done,json=commandsDone,proto3" json:"commands_done,omitempty"`
	// What a handler has left here last; see Command.state.
	State []byte `protobuf:"bytes,12,opt,name=state,proto3" json:"state,omitempty"`
	// Who the connection is, where it has been authenticated.
	Client *Client `protobuf:"bytes,13,opt,name=client,proto3" json:"client,omitempty"`
	// How many bytes of the device all events up to `acknowledged` held.
	Offset        uint64 `protobuf:"varint,14,opt,name=offset,proto3" json:"offset,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Attach) Reset() {
	*x = Attach{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[4]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Attach) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Attach) ProtoMessage() {}

func (x *Attach) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[4]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Attach.ProtoReflect.Descriptor instead.
func (*Attach) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{4}
}

func (x *Attach) GetConn() uint64 {
	if x != nil {
		return x.Conn
	}
	return 0
}

func (x *Attach) GetId() string {
	if x != nil {
		return x.Id
	}
	return ""
}

func (x *Attach) GetConninfo() *exprotov1.ConnInfo {
	if x != nil {
		return x.Conninfo
	}
	return nil
}

func (x *Attach) GetListener() string {
	if x != nil {
		return x.Listener
	}
	return ""
}

func (x *Attach) GetTransport() string {
	if x != nil {
		return x.Transport
	}
	return ""
}

func (x *Attach) GetDetails() []*Detail {
	if x != nil {
		return x.Details
	}
	return nil
}

func (x *Attach) GetAttempt() uint32 {
	if x != nil {
		return x.Attempt
	}
	return 0
}

func (x *Attach) GetInstance() string {
	if x != nil {
		return x.Instance
	}
	return ""
}

func (x *Attach) GetAcknowledged() uint64 {
	if x != nil {
		return x.Acknowledged
	}
	return 0
}

func (x *Attach) GetCommandsAccepted() uint64 {
	if x != nil {
		return x.CommandsAccepted
	}
	return 0
}

func (x *Attach) GetCommandsDone() uint64 {
	if x != nil {
		return x.CommandsDone
	}
	return 0
}

func (x *Attach) GetState() []byte {
	if x != nil {
		return x.State
	}
	return nil
}

func (x *Attach) GetClient() *Client {
	if x != nil {
		return x.Client
	}
	return nil
}

func (x *Attach) GetOffset() uint64 {
	if x != nil {
		return x.Offset
	}
	return 0
}

type Detail struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	Name          string                 `protobuf:"bytes,1,opt,name=name,proto3" json:"name,omitempty"`
	Value         []byte                 `protobuf:"bytes,2,opt,name=value,proto3" json:"value,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Detail) Reset() {
	*x = Detail{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[5]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Detail) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Detail) ProtoMessage() {}

func (x *Detail) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[5]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Detail.ProtoReflect.Descriptor instead.
func (*Detail) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{5}
}

func (x *Detail) GetName() string {
	if x != nil {
		return x.Name
	}
	return ""
}

func (x *Detail) GetValue() []byte {
	if x != nil {
		return x.Value
	}
	return nil
}

type Client struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	Clientid      string                 `protobuf:"bytes,1,opt,name=clientid,proto3" json:"clientid,omitempty"`
	Username      string                 `protobuf:"bytes,2,opt,name=username,proto3" json:"username,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Client) Reset() {
	*x = Client{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[6]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Client) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Client) ProtoMessage() {}

func (x *Client) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[6]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Client.ProtoReflect.Descriptor instead.
func (*Client) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{6}
}

func (x *Client) GetClientid() string {
	if x != nil {
		return x.Clientid
	}
	return ""
}

func (x *Client) GetUsername() string {
	if x != nil {
		return x.Username
	}
	return ""
}

// Something happened to a connection.
type Event struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	Conn  uint64                 `protobuf:"varint,1,opt,name=conn,proto3" json:"conn,omitempty"`
	// Its number; rule 5.
	Seq uint64 `protobuf:"varint,2,opt,name=seq,proto3" json:"seq,omitempty"`
	// It may have been sent before, on another stream.
	Resent bool `protobuf:"varint,3,opt,name=resent,proto3" json:"resent,omitempty"`
	// Types that are valid to be assigned to Kind:
	//
	//	*Event_Bytes
	//	*Event_Messages
	//	*Event_TimerTimeout
	//	*Event_Closed
	//	*Event_Result
	Kind          isEvent_Kind `protobuf_oneof:"kind"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Event) Reset() {
	*x = Event{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[7]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Event) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Event) ProtoMessage() {}

func (x *Event) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[7]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Event.ProtoReflect.Descriptor instead.
func (*Event) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{7}
}

func (x *Event) GetConn() uint64 {
	if x != nil {
		return x.Conn
	}
	return 0
}

func (x *Event) GetSeq() uint64 {
	if x != nil {
		return x.Seq
	}
	return 0
}

func (x *Event) GetResent() bool {
	if x != nil {
		return x.Resent
	}
	return false
}

func (x *Event) GetKind() isEvent_Kind {
	if x != nil {
		return x.Kind
	}
	return nil
}

func (x *Event) GetBytes() []byte {
	if x != nil {
		if x, ok := x.Kind.(*Event_Bytes); ok {
			return x.Bytes
		}
	}
	return nil
}

func (x *Event) GetMessages() *Messages {
	if x != nil {
		if x, ok := x.Kind.(*Event_Messages); ok {
			return x.Messages
		}
	}
	return nil
}

func (x *Event) GetTimerTimeout() *TimerTimeout {
	if x != nil {
		if x, ok := x.Kind.(*Event_TimerTimeout); ok {
			return x.TimerTimeout
		}
	}
	return nil
}

func (x *Event) GetClosed() *Closed {
	if x != nil {
		if x, ok := x.Kind.(*Event_Closed); ok {
			return x.Closed
		}
	}
	return nil
}

func (x *Event) GetResult() *Result {
	if x != nil {
		if x, ok := x.Kind.(*Event_Result); ok {
			return x.Result
		}
	}
	return nil
}

type isEvent_Kind interface {
	isEvent_Kind()
}

type Event_Bytes struct {
	// The device has sent this: some bytes of a stream, or one datagram, frame or WebSocket message.
	Bytes []byte `protobuf:"bytes,4,opt,name=bytes,proto3,oneof"`
}

type Event_Messages struct {
	// Messages of the client's subscriptions.
	Messages *Messages `protobuf:"bytes,5,opt,name=messages,proto3,oneof"`
}

type Event_TimerTimeout struct {
	// The keepalive has run out; the connection closes next.
	TimerTimeout *TimerTimeout `protobuf:"bytes,6,opt,name=timer_timeout,json=timerTimeout,proto3,oneof"`
}

type Event_Closed struct {
	// The connection has ended; its last event.
	Closed *Closed `protobuf:"bytes,7,opt,name=closed,proto3,oneof"`
}

type Event_Result struct {
	// What became of a command that asked for it.
	Result *Result `protobuf:"bytes,8,opt,name=result,proto3,oneof"`
}

func (*Event_Bytes) isEvent_Kind() {}

func (*Event_Messages) isEvent_Kind() {}

func (*Event_TimerTimeout) isEvent_Kind() {}

func (*Event_Closed) isEvent_Kind() {}

func (*Event_Result) isEvent_Kind() {}

type Messages struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	Messages      []*exprotov1.Message   `protobuf:"bytes,1,rep,name=messages,proto3" json:"messages,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Messages) Reset() {
	*x = Messages{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[8]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Messages) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Messages) ProtoMessage() {}

func (x *Messages) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[8]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Messages.ProtoReflect.Descriptor instead.
func (*Messages) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{8}
}

func (x *Messages) GetMessages() []*exprotov1.Message {
	if x != nil {
		return x.Messages
	}
	return nil
}

type TimerTimeout struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *TimerTimeout) Reset() {
	*x = TimerTimeout{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[9]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *TimerTimeout) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*TimerTimeout) ProtoMessage() {}

func (x *TimerTimeout) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[9]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use TimerTimeout.ProtoReflect.Descriptor instead.
func (*TimerTimeout) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{9}
}

type Closed struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Why, in the words of OnSocketClosed.
	Reason        string `protobuf:"bytes,1,opt,name=reason,proto3" json:"reason,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Closed) Reset() {
	*x = Closed{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[10]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Closed) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Closed) ProtoMessage() {}

func (x *Closed) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[10]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Closed.ProtoReflect.Descriptor instead.
func (*Closed) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{10}
}

func (x *Closed) GetReason() string {
	if x != nil {
		return x.Reason
	}
	return ""
}

type Result struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The command's number.
	Command uint64               `protobuf:"varint,1,opt,name=command,proto3" json:"command,omitempty"`
	Code    exprotov1.ResultCode `protobuf:"varint,2,opt,name=code,proto3,enum=emqx.exproto.v1.ResultCode" json:"code,omitempty"`
	// What is wrong, for a person to read; empty with SUCCESS.
	Message string `protobuf:"bytes,3,opt,name=message,proto3" json:"message,omitempty"`
	// Of Authenticate: the client's session was there before.
	SessionPresent bool `protobuf:"varint,4,opt,name=session_present,json=sessionPresent,proto3" json:"session_present,omitempty"`
	unknownFields  protoimpl.UnknownFields
	sizeCache      protoimpl.SizeCache
}

func (x *Result) Reset() {
	*x = Result{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[11]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Result) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Result) ProtoMessage() {}

func (x *Result) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[11]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Result.ProtoReflect.Descriptor instead.
func (*Result) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{11}
}

func (x *Result) GetCommand() uint64 {
	if x != nil {
		return x.Command
	}
	return 0
}

func (x *Result) GetCode() exprotov1.ResultCode {
	if x != nil {
		return x.Code
	}
	return exprotov1.ResultCode(0)
}

func (x *Result) GetMessage() string {
	if x != nil {
		return x.Message
	}
	return ""
}

func (x *Result) GetSessionPresent() bool {
	if x != nil {
		return x.SessionPresent
	}
	return false
}

// All commands of a connection up to this one were carried out, well or not.
type Progress struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	Conn          uint64                 `protobuf:"varint,1,opt,name=conn,proto3" json:"conn,omitempty"`
	Done          uint64                 `protobuf:"varint,2,opt,name=done,proto3" json:"done,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Progress) Reset() {
	*x = Progress{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[12]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Progress) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Progress) ProtoMessage() {}

func (x *Progress) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[12]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Progress.ProtoReflect.Descriptor instead.
func (*Progress) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{12}
}

func (x *Progress) GetConn() uint64 {
	if x != nil {
		return x.Conn
	}
	return 0
}

func (x *Progress) GetDone() uint64 {
	if x != nil {
		return x.Done
	}
	return 0
}

type Drain struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// How long until the last connection is closed, in milliseconds.
	WithinMs      uint64 `protobuf:"varint,1,opt,name=within_ms,json=withinMs,proto3" json:"within_ms,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Drain) Reset() {
	*x = Drain{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[13]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Drain) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Drain) ProtoMessage() {}

func (x *Drain) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[13]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Drain.ProtoReflect.Descriptor instead.
func (*Drain) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{13}
}

func (x *Drain) GetWithinMs() uint64 {
	if x != nil {
		return x.WithinMs
	}
	return 0
}

// The handler wants something done with a connection.
type Command struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	Conn  uint64                 `protobuf:"varint,1,opt,name=conn,proto3" json:"conn,omitempty"`
	// Its number; rule 9.
	Seq uint64 `protobuf:"varint,2,opt,name=seq,proto3" json:"seq,omitempty"`
	// The event Result is to follow.
	Result bool `protobuf:"varint,3,opt,name=result,proto3" json:"result,omitempty"`
	// Types that are valid to be assigned to Kind:
	//
	//	*Command_Send
	//	*Command_Close
	//	*Command_Authenticate
	//	*Command_StartTimer
	//	*Command_Publish
	//	*Command_Subscribe
	//	*Command_Unsubscribe
	//	*Command_RawPublish
	//	*Command_State
	Kind          isCommand_Kind `protobuf_oneof:"kind"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Command) Reset() {
	*x = Command{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[14]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Command) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Command) ProtoMessage() {}

func (x *Command) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[14]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Command.ProtoReflect.Descriptor instead.
func (*Command) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{14}
}

func (x *Command) GetConn() uint64 {
	if x != nil {
		return x.Conn
	}
	return 0
}

func (x *Command) GetSeq() uint64 {
	if x != nil {
		return x.Seq
	}
	return 0
}

func (x *Command) GetResult() bool {
	if x != nil {
		return x.Result
	}
	return false
}

func (x *Command) GetKind() isCommand_Kind {
	if x != nil {
		return x.Kind
	}
	return nil
}

func (x *Command) GetSend() []byte {
	if x != nil {
		if x, ok := x.Kind.(*Command_Send); ok {
			return x.Send
		}
	}
	return nil
}

func (x *Command) GetClose() *Close {
	if x != nil {
		if x, ok := x.Kind.(*Command_Close); ok {
			return x.Close
		}
	}
	return nil
}

func (x *Command) GetAuthenticate() *Authenticate {
	if x != nil {
		if x, ok := x.Kind.(*Command_Authenticate); ok {
			return x.Authenticate
		}
	}
	return nil
}

func (x *Command) GetStartTimer() *StartTimer {
	if x != nil {
		if x, ok := x.Kind.(*Command_StartTimer); ok {
			return x.StartTimer
		}
	}
	return nil
}

func (x *Command) GetPublish() *Publish {
	if x != nil {
		if x, ok := x.Kind.(*Command_Publish); ok {
			return x.Publish
		}
	}
	return nil
}

func (x *Command) GetSubscribe() *Subscribe {
	if x != nil {
		if x, ok := x.Kind.(*Command_Subscribe); ok {
			return x.Subscribe
		}
	}
	return nil
}

func (x *Command) GetUnsubscribe() string {
	if x != nil {
		if x, ok := x.Kind.(*Command_Unsubscribe); ok {
			return x.Unsubscribe
		}
	}
	return ""
}

func (x *Command) GetRawPublish() *Publish {
	if x != nil {
		if x, ok := x.Kind.(*Command_RawPublish); ok {
			return x.RawPublish
		}
	}
	return nil
}

func (x *Command) GetState() []byte {
	if x != nil {
		if x, ok := x.Kind.(*Command_State); ok {
			return x.State
		}
	}
	return nil
}

type isCommand_Kind interface {
	isCommand_Kind()
}

type Command_Send struct {
	// Write these bytes to the device: on a datagram transport or WebSocket, as one message.
	Send []byte `protobuf:"bytes,4,opt,name=send,proto3,oneof"`
}

type Command_Close struct {
	// Write what was accepted, and close the connection.
	Close *Close `protobuf:"bytes,5,opt,name=close,proto3,oneof"`
}

type Command_Authenticate struct {
	Authenticate *Authenticate `protobuf:"bytes,6,opt,name=authenticate,proto3,oneof"`
}

type Command_StartTimer struct {
	StartTimer *StartTimer `protobuf:"bytes,7,opt,name=start_timer,json=startTimer,proto3,oneof"`
}

type Command_Publish struct {
	Publish *Publish `protobuf:"bytes,8,opt,name=publish,proto3,oneof"`
}

type Command_Subscribe struct {
	Subscribe *Subscribe `protobuf:"bytes,9,opt,name=subscribe,proto3,oneof"`
}

type Command_Unsubscribe struct {
	// End the subscription to this topic filter.
	Unsubscribe string `protobuf:"bytes,10,opt,name=unsubscribe,proto3,oneof"`
}

type Command_RawPublish struct {
	// As Publish, by nobody: without a mountpoint and without a question of what the client may do.
	RawPublish *Publish `protobuf:"bytes,11,opt,name=raw_publish,json=rawPublish,proto3,oneof"`
}

type Command_State struct {
	// Keep this, in place of what was kept before: at most 4 KiB. Whoever the connection is attached to next gets it in
	// Attach.state, so a handler's memory of a connection may survive the handler.
	State []byte `protobuf:"bytes,12,opt,name=state,proto3,oneof"`
}

func (*Command_Send) isCommand_Kind() {}

func (*Command_Close) isCommand_Kind() {}

func (*Command_Authenticate) isCommand_Kind() {}

func (*Command_StartTimer) isCommand_Kind() {}

func (*Command_Publish) isCommand_Kind() {}

func (*Command_Subscribe) isCommand_Kind() {}

func (*Command_Unsubscribe) isCommand_Kind() {}

func (*Command_RawPublish) isCommand_Kind() {}

func (*Command_State) isCommand_Kind() {}

type Close struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Close) Reset() {
	*x = Close{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[15]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Close) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Close) ProtoMessage() {}

func (x *Close) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[15]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Close.ProtoReflect.Descriptor instead.
func (*Close) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{15}
}

type Authenticate struct {
	state      protoimpl.MessageState `protogen:"open.v1"`
	Clientinfo *exprotov1.ClientInfo  `protobuf:"bytes,1,opt,name=clientinfo,proto3" json:"clientinfo,omitempty"`
	Password   string                 `protobuf:"bytes,2,opt,name=password,proto3" json:"password,omitempty"`
	// For how many seconds the client's session outlives its connection; 0: no session. Absent: as the listener says.
	SessionExpiry *uint32 `protobuf:"varint,3,opt,name=session_expiry,json=sessionExpiry,proto3,oneof" json:"session_expiry,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Authenticate) Reset() {
	*x = Authenticate{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[16]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Authenticate) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Authenticate) ProtoMessage() {}

func (x *Authenticate) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[16]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Authenticate.ProtoReflect.Descriptor instead.
func (*Authenticate) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{16}
}

func (x *Authenticate) GetClientinfo() *exprotov1.ClientInfo {
	if x != nil {
		return x.Clientinfo
	}
	return nil
}

func (x *Authenticate) GetPassword() string {
	if x != nil {
		return x.Password
	}
	return ""
}

func (x *Authenticate) GetSessionExpiry() uint32 {
	if x != nil && x.SessionExpiry != nil {
		return *x.SessionExpiry
	}
	return 0
}

type StartTimer struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The keepalive runs out after one and a half times so many seconds without a byte.
	Interval      uint32 `protobuf:"varint,1,opt,name=interval,proto3" json:"interval,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *StartTimer) Reset() {
	*x = StartTimer{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[17]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *StartTimer) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*StartTimer) ProtoMessage() {}

func (x *StartTimer) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[17]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use StartTimer.ProtoReflect.Descriptor instead.
func (*StartTimer) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{17}
}

func (x *StartTimer) GetInterval() uint32 {
	if x != nil {
		return x.Interval
	}
	return 0
}

type Publish struct {
	state   protoimpl.MessageState `protogen:"open.v1"`
	Topic   string                 `protobuf:"bytes,1,opt,name=topic,proto3" json:"topic,omitempty"`
	Qos     uint32                 `protobuf:"varint,2,opt,name=qos,proto3" json:"qos,omitempty"`
	Payload []byte                 `protobuf:"bytes,3,opt,name=payload,proto3" json:"payload,omitempty"`
	// Keep it for whoever subscribes later.
	Retain        bool `protobuf:"varint,4,opt,name=retain,proto3" json:"retain,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Publish) Reset() {
	*x = Publish{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[18]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Publish) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Publish) ProtoMessage() {}

func (x *Publish) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[18]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Publish.ProtoReflect.Descriptor instead.
func (*Publish) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{18}
}

func (x *Publish) GetTopic() string {
	if x != nil {
		return x.Topic
	}
	return ""
}

func (x *Publish) GetQos() uint32 {
	if x != nil {
		return x.Qos
	}
	return 0
}

func (x *Publish) GetPayload() []byte {
	if x != nil {
		return x.Payload
	}
	return nil
}

func (x *Publish) GetRetain() bool {
	if x != nil {
		return x.Retain
	}
	return false
}

type Subscribe struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	Topic         string                 `protobuf:"bytes,1,opt,name=topic,proto3" json:"topic,omitempty"`
	Qos           uint32                 `protobuf:"varint,2,opt,name=qos,proto3" json:"qos,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Subscribe) Reset() {
	*x = Subscribe{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[19]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Subscribe) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Subscribe) ProtoMessage() {}

func (x *Subscribe) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[19]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Subscribe.ProtoReflect.Descriptor instead.
func (*Subscribe) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{19}
}

func (x *Subscribe) GetTopic() string {
	if x != nil {
		return x.Topic
	}
	return ""
}

func (x *Subscribe) GetQos() uint32 {
	if x != nil {
		return x.Qos
	}
	return 0
}

// This event and all before it are done with.
type Ack struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	Conn  uint64                 `protobuf:"varint,1,opt,name=conn,proto3" json:"conn,omitempty"`
	Seq   uint64                 `protobuf:"varint,2,opt,name=seq,proto3" json:"seq,omitempty"`
	// A callback has failed, for this reason: the connection closes with `handler_error`. Empty: it was well. `seq` may be
	// one that was acknowledged before, or 0, where what failed is not about an event.
	Error         string `protobuf:"bytes,3,opt,name=error,proto3" json:"error,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Ack) Reset() {
	*x = Ack{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[20]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Ack) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Ack) ProtoMessage() {}

func (x *Ack) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[20]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Ack.ProtoReflect.Descriptor instead.
func (*Ack) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{20}
}

func (x *Ack) GetConn() uint64 {
	if x != nil {
		return x.Conn
	}
	return 0
}

func (x *Ack) GetSeq() uint64 {
	if x != nil {
		return x.Seq
	}
	return 0
}

func (x *Ack) GetError() string {
	if x != nil {
		return x.Error
	}
	return ""
}

type Goodbye struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Why, for a person to read.
	Reason        string `protobuf:"bytes,1,opt,name=reason,proto3" json:"reason,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Goodbye) Reset() {
	*x = Goodbye{}
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[21]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Goodbye) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Goodbye) ProtoMessage() {}

func (x *Goodbye) ProtoReflect() protoreflect.Message {
	mi := &file_exproto_stream_v1_stream_proto_msgTypes[21]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Goodbye.ProtoReflect.Descriptor instead.
func (*Goodbye) Descriptor() ([]byte, []int) {
	return file_exproto_stream_v1_stream_proto_rawDescGZIP(), []int{21}
}

func (x *Goodbye) GetReason() string {
	if x != nil {
		return x.Reason
	}
	return ""
}

var File_exproto_stream_v1_stream_proto protoreflect.FileDescriptor

const file_exproto_stream_v1_stream_proto_rawDesc = "" +
	"\n" +
	"\x1eexproto/stream/v1/stream.proto\x12\x11exproto.stream.v1\x1a\rexproto.proto\"\xb5\x02\n" +
	"\fGatewayBatch\x125\n" +
	"\x05hello\x18\x01 \x01(\v2\x1f.exproto.stream.v1.GatewayHelloR\x05hello\x125\n" +
	"\battaches\x18\x02 \x03(\v2\x19.exproto.stream.v1.AttachR\battaches\x120\n" +
	"\x06events\x18\x03 \x03(\v2\x18.exproto.stream.v1.EventR\x06events\x127\n" +
	"\bprogress\x18\x04 \x03(\v2\x1b.exproto.stream.v1.ProgressR\bprogress\x12\x1c\n" +
	"\theartbeat\x18\x05 \x01(\x04R\theartbeat\x12.\n" +
	"\x05drain\x18\x06 \x01(\v2\x18.exproto.stream.v1.DrainR\x05drain\"\xfd\x01\n" +
	"\fHandlerBatch\x125\n" +
	"\x05hello\x18\x01 \x01(\v2\x1f.exproto.stream.v1.HandlerHelloR\x05hello\x126\n" +
	"\bcommands\x18\x02 \x03(\v2\x1a.exproto.stream.v1.CommandR\bcommands\x12*\n" +
	"\x04acks\x18\x03 \x03(\v2\x16.exproto.stream.v1.AckR\x04acks\x12\x1c\n" +
	"\theartbeat\x18\x04 \x01(\x04R\theartbeat\x124\n" +
	"\agoodbye\x18\x05 \x01(\v2\x1a.exproto.stream.v1.GoodbyeR\agoodbye\"\xcb\x02\n" +
	"\fGatewayHello\x12\x18\n" +
	"\aversion\x18\x01 \x01(\rR\aversion\x12\"\n" +
	"\fcapabilities\x18\x02 \x03(\tR\fcapabilities\x12\x10\n" +
	"\x03pod\x18\x03 \x01(\tR\x03pod\x12\x14\n" +
	"\x05epoch\x18\x04 \x01(\x04R\x05epoch\x12\x12\n" +
	"\x04lane\x18\x05 \x01(\rR\x04lane\x12'\n" +
	"\x0fadapter_address\x18\x06 \x01(\tR\x0eadapterAddress\x12!\n" +
	"\fmax_commands\x18\a \x01(\rR\vmaxCommands\x12*\n" +
	"\x11max_command_bytes\x18\b \x01(\rR\x0fmaxCommandBytes\x12&\n" +
	"\x0fmax_batch_bytes\x18\t \x01(\rR\rmaxBatchBytes\x12!\n" +
	"\fheartbeat_ms\x18\n" +
	" \x01(\rR\vheartbeatMs\"\xf1\x01\n" +
	"\fHandlerHello\x12\x18\n" +
	"\aversion\x18\x01 \x01(\rR\aversion\x12\"\n" +
	"\fcapabilities\x18\x02 \x03(\tR\fcapabilities\x12\x1a\n" +
	"\binstance\x18\x03 \x01(\tR\binstance\x12\x1d\n" +
	"\n" +
	"max_events\x18\x04 \x01(\rR\tmaxEvents\x12&\n" +
	"\x0fmax_event_bytes\x18\x05 \x01(\rR\rmaxEventBytes\x12&\n" +
	"\x0fmax_batch_bytes\x18\x06 \x01(\rR\rmaxBatchBytes\x12\x18\n" +
	"\alibrary\x18\a \x01(\tR\alibrary\"\xdf\x03\n" +
	"\x06Attach\x12\x12\n" +
	"\x04conn\x18\x01 \x01(\x04R\x04conn\x12\x0e\n" +
	"\x02id\x18\x02 \x01(\tR\x02id\x125\n" +
	"\bconninfo\x18\x03 \x01(\v2\x19.emqx.exproto.v1.ConnInfoR\bconninfo\x12\x1a\n" +
	"\blistener\x18\x04 \x01(\tR\blistener\x12\x1c\n" +
	"\ttransport\x18\x05 \x01(\tR\ttransport\x123\n" +
	"\adetails\x18\x06 \x03(\v2\x19.exproto.stream.v1.DetailR\adetails\x12\x18\n" +
	"\aattempt\x18\a \x01(\rR\aattempt\x12\x1a\n" +
	"\binstance\x18\b \x01(\tR\binstance\x12\"\n" +
	"\facknowledged\x18\t \x01(\x04R\facknowledged\x12+\n" +
	"\x11commands_accepted\x18\n" +
	" \x01(\x04R\x10commandsAccepted\x12#\n" +
	"\rcommands_done\x18\v \x01(\x04R\fcommandsDone\x12\x14\n" +
	"\x05state\x18\f \x01(\fR\x05state\x121\n" +
	"\x06client\x18\r \x01(\v2\x19.exproto.stream.v1.ClientR\x06client\x12\x16\n" +
	"\x06offset\x18\x0e \x01(\x04R\x06offset\"2\n" +
	"\x06Detail\x12\x12\n" +
	"\x04name\x18\x01 \x01(\tR\x04name\x12\x14\n" +
	"\x05value\x18\x02 \x01(\fR\x05value\"@\n" +
	"\x06Client\x12\x1a\n" +
	"\bclientid\x18\x01 \x01(\tR\bclientid\x12\x1a\n" +
	"\busername\x18\x02 \x01(\tR\busername\"\xd2\x02\n" +
	"\x05Event\x12\x12\n" +
	"\x04conn\x18\x01 \x01(\x04R\x04conn\x12\x10\n" +
	"\x03seq\x18\x02 \x01(\x04R\x03seq\x12\x16\n" +
	"\x06resent\x18\x03 \x01(\bR\x06resent\x12\x16\n" +
	"\x05bytes\x18\x04 \x01(\fH\x00R\x05bytes\x129\n" +
	"\bmessages\x18\x05 \x01(\v2\x1b.exproto.stream.v1.MessagesH\x00R\bmessages\x12F\n" +
	"\rtimer_timeout\x18\x06 \x01(\v2\x1f.exproto.stream.v1.TimerTimeoutH\x00R\ftimerTimeout\x123\n" +
	"\x06closed\x18\a \x01(\v2\x19.exproto.stream.v1.ClosedH\x00R\x06closed\x123\n" +
	"\x06result\x18\b \x01(\v2\x19.exproto.stream.v1.ResultH\x00R\x06resultB\x06\n" +
	"\x04kind\"@\n" +
	"\bMessages\x124\n" +
	"\bmessages\x18\x01 \x03(\v2\x18.emqx.exproto.v1.MessageR\bmessages\"\x0e\n" +
	"\fTimerTimeout\" \n" +
	"\x06Closed\x12\x16\n" +
	"\x06reason\x18\x01 \x01(\tR\x06reason\"\x96\x01\n" +
	"\x06Result\x12\x18\n" +
	"\acommand\x18\x01 \x01(\x04R\acommand\x12/\n" +
	"\x04code\x18\x02 \x01(\x0e2\x1b.emqx.exproto.v1.ResultCodeR\x04code\x12\x18\n" +
	"\amessage\x18\x03 \x01(\tR\amessage\x12'\n" +
	"\x0fsession_present\x18\x04 \x01(\bR\x0esessionPresent\"2\n" +
	"\bProgress\x12\x12\n" +
	"\x04conn\x18\x01 \x01(\x04R\x04conn\x12\x12\n" +
	"\x04done\x18\x02 \x01(\x04R\x04done\"$\n" +
	"\x05Drain\x12\x1b\n" +
	"\twithin_ms\x18\x01 \x01(\x04R\bwithinMs\"\x91\x04\n" +
	"\aCommand\x12\x12\n" +
	"\x04conn\x18\x01 \x01(\x04R\x04conn\x12\x10\n" +
	"\x03seq\x18\x02 \x01(\x04R\x03seq\x12\x16\n" +
	"\x06result\x18\x03 \x01(\bR\x06result\x12\x14\n" +
	"\x04send\x18\x04 \x01(\fH\x00R\x04send\x120\n" +
	"\x05close\x18\x05 \x01(\v2\x18.exproto.stream.v1.CloseH\x00R\x05close\x12E\n" +
	"\fauthenticate\x18\x06 \x01(\v2\x1f.exproto.stream.v1.AuthenticateH\x00R\fauthenticate\x12@\n" +
	"\vstart_timer\x18\a \x01(\v2\x1d.exproto.stream.v1.StartTimerH\x00R\n" +
	"startTimer\x126\n" +
	"\apublish\x18\b \x01(\v2\x1a.exproto.stream.v1.PublishH\x00R\apublish\x12<\n" +
	"\tsubscribe\x18\t \x01(\v2\x1c.exproto.stream.v1.SubscribeH\x00R\tsubscribe\x12\"\n" +
	"\vunsubscribe\x18\n" +
	" \x01(\tH\x00R\vunsubscribe\x12=\n" +
	"\vraw_publish\x18\v \x01(\v2\x1a.exproto.stream.v1.PublishH\x00R\n" +
	"rawPublish\x12\x16\n" +
	"\x05state\x18\f \x01(\fH\x00R\x05stateB\x06\n" +
	"\x04kind\"\a\n" +
	"\x05Close\"\xa6\x01\n" +
	"\fAuthenticate\x12;\n" +
	"\n" +
	"clientinfo\x18\x01 \x01(\v2\x1b.emqx.exproto.v1.ClientInfoR\n" +
	"clientinfo\x12\x1a\n" +
	"\bpassword\x18\x02 \x01(\tR\bpassword\x12*\n" +
	"\x0esession_expiry\x18\x03 \x01(\rH\x00R\rsessionExpiry\x88\x01\x01B\x11\n" +
	"\x0f_session_expiry\"(\n" +
	"\n" +
	"StartTimer\x12\x1a\n" +
	"\binterval\x18\x01 \x01(\rR\binterval\"c\n" +
	"\aPublish\x12\x14\n" +
	"\x05topic\x18\x01 \x01(\tR\x05topic\x12\x10\n" +
	"\x03qos\x18\x02 \x01(\rR\x03qos\x12\x18\n" +
	"\apayload\x18\x03 \x01(\fR\apayload\x12\x16\n" +
	"\x06retain\x18\x04 \x01(\bR\x06retain\"3\n" +
	"\tSubscribe\x12\x14\n" +
	"\x05topic\x18\x01 \x01(\tR\x05topic\x12\x10\n" +
	"\x03qos\x18\x02 \x01(\rR\x03qos\"A\n" +
	"\x03Ack\x12\x12\n" +
	"\x04conn\x18\x01 \x01(\x04R\x04conn\x12\x10\n" +
	"\x03seq\x18\x02 \x01(\x04R\x03seq\x12\x14\n" +
	"\x05error\x18\x03 \x01(\tR\x05error\"!\n" +
	"\aGoodbye\x12\x16\n" +
	"\x06reason\x18\x01 \x01(\tR\x06reason2_\n" +
	"\x10ConnectionStream\x12K\n" +
	"\x03Run\x12\x1f.exproto.stream.v1.GatewayBatch\x1a\x1f.exproto.stream.v1.HandlerBatch(\x010\x01BA\n" +
	"\x15dev.exproto.stream.v1P\x01Z&exproto.dev/exproto/stream/v1;streamv1b\x06proto3"

var (
	file_exproto_stream_v1_stream_proto_rawDescOnce sync.Once
	file_exproto_stream_v1_stream_proto_rawDescData []byte
)

func file_exproto_stream_v1_stream_proto_rawDescGZIP() []byte {
	file_exproto_stream_v1_stream_proto_rawDescOnce.Do(func() {
		file_exproto_stream_v1_stream_proto_rawDescData = protoimpl.X.CompressGZIP(unsafe.Slice(unsafe.StringData(file_exproto_stream_v1_stream_proto_rawDesc), len(file_exproto_stream_v1_stream_proto_rawDesc)))
	})
	return file_exproto_stream_v1_stream_proto_rawDescData
}

var file_exproto_stream_v1_stream_proto_msgTypes = make([]protoimpl.MessageInfo, 22)
var file_exproto_stream_v1_stream_proto_goTypes = []any{
	(*GatewayBatch)(nil),         // 0: exproto.stream.v1.GatewayBatch
	(*HandlerBatch)(nil),         // 1: exproto.stream.v1.HandlerBatch
	(*GatewayHello)(nil),         // 2: exproto.stream.v1.GatewayHello
	(*HandlerHello)(nil),         // 3: exproto.stream.v1.HandlerHello
	(*Attach)(nil),               // 4: exproto.stream.v1.Attach
	(*Detail)(nil),               // 5: exproto.stream.v1.Detail
	(*Client)(nil),               // 6: exproto.stream.v1.Client
	(*Event)(nil),                // 7: exproto.stream.v1.Event
	(*Messages)(nil),             // 8: exproto.stream.v1.Messages
	(*TimerTimeout)(nil),         // 9: exproto.stream.v1.TimerTimeout
	(*Closed)(nil),               // 10: exproto.stream.v1.Closed
	(*Result)(nil),               // 11: exproto.stream.v1.Result
	(*Progress)(nil),             // 12: exproto.stream.v1.Progress
	(*Drain)(nil),                // 13: exproto.stream.v1.Drain
	(*Command)(nil),              // 14: exproto.stream.v1.Command
	(*Close)(nil),                // 15: exproto.stream.v1.Close
	(*Authenticate)(nil),         // 16: exproto.stream.v1.Authenticate
	(*StartTimer)(nil),           // 17: exproto.stream.v1.StartTimer
	(*Publish)(nil),              // 18: exproto.stream.v1.Publish
	(*Subscribe)(nil),            // 19: exproto.stream.v1.Subscribe
	(*Ack)(nil),                  // 20: exproto.stream.v1.Ack
	(*Goodbye)(nil),              // 21: exproto.stream.v1.Goodbye
	(*exprotov1.ConnInfo)(nil),   // 22: emqx.exproto.v1.ConnInfo
	(*exprotov1.Message)(nil),    // 23: emqx.exproto.v1.Message
	(exprotov1.ResultCode)(0),    // 24: emqx.exproto.v1.ResultCode
	(*exprotov1.ClientInfo)(nil), // 25: emqx.exproto.v1.ClientInfo
}
var file_exproto_stream_v1_stream_proto_depIdxs = []int32{
	2,  // 0: exproto.stream.v1.GatewayBatch.hello:type_name -> exproto.stream.v1.GatewayHello
	4,  // 1: exproto.stream.v1.GatewayBatch.attaches:type_name -> exproto.stream.v1.Attach
	7,  // 2: exproto.stream.v1.GatewayBatch.events:type_name -> exproto.stream.v1.Event
	12, // 3: exproto.stream.v1.GatewayBatch.progress:type_name -> exproto.stream.v1.Progress
	13, // 4: exproto.stream.v1.GatewayBatch.drain:type_name -> exproto.stream.v1.Drain
	3,  // 5: exproto.stream.v1.HandlerBatch.hello:type_name -> exproto.stream.v1.HandlerHello
	14, // 6: exproto.stream.v1.HandlerBatch.commands:type_name -> exproto.stream.v1.Command
	20, // 7: exproto.stream.v1.HandlerBatch.acks:type_name -> exproto.stream.v1.Ack
	21, // 8: exproto.stream.v1.HandlerBatch.goodbye:type_name -> exproto.stream.v1.Goodbye
	22, // 9: exproto.stream.v1.Attach.conninfo:type_name -> emqx.exproto.v1.ConnInfo
	5,  // 10: exproto.stream.v1.Attach.details:type_name -> exproto.stream.v1.Detail
	6,  // 11: exproto.stream.v1.Attach.client:type_name -> exproto.stream.v1.Client
	8,  // 12: exproto.stream.v1.Event.messages:type_name -> exproto.stream.v1.Messages
	9,  // 13: exproto.stream.v1.Event.timer_timeout:type_name -> exproto.stream.v1.TimerTimeout
	10, // 14: exproto.stream.v1.Event.closed:type_name -> exproto.stream.v1.Closed
	11, // 15: exproto.stream.v1.Event.result:type_name -> exproto.stream.v1.Result
	23, // 16: exproto.stream.v1.Messages.messages:type_name -> emqx.exproto.v1.Message
	24, // 17: exproto.stream.v1.Result.code:type_name -> emqx.exproto.v1.ResultCode
	15, // 18: exproto.stream.v1.Command.close:type_name -> exproto.stream.v1.Close
	16, // 19: exproto.stream.v1.Command.authenticate:type_name -> exproto.stream.v1.Authenticate
	17, // 20: exproto.stream.v1.Command.start_timer:type_name -> exproto.stream.v1.StartTimer
	18, // 21: exproto.stream.v1.Command.publish:type_name -> exproto.stream.v1.Publish
	19, // 22: exproto.stream.v1.Command.subscribe:type_name -> exproto.stream.v1.Subscribe
	18, // 23: exproto.stream.v1.Command.raw_publish:type_name -> exproto.stream.v1.Publish
	25, // 24: exproto.stream.v1.Authenticate.clientinfo:type_name -> emqx.exproto.v1.ClientInfo
	0,  // 25: exproto.stream.v1.ConnectionStream.Run:input_type -> exproto.stream.v1.GatewayBatch
	1,  // 26: exproto.stream.v1.ConnectionStream.Run:output_type -> exproto.stream.v1.HandlerBatch
	26, // [26:27] is the sub-list for method output_type
	25, // [25:26] is the sub-list for method input_type
	25, // [25:25] is the sub-list for extension type_name
	25, // [25:25] is the sub-list for extension extendee
	0,  // [0:25] is the sub-list for field type_name
}

func init() { file_exproto_stream_v1_stream_proto_init() }
func file_exproto_stream_v1_stream_proto_init() {
	if File_exproto_stream_v1_stream_proto != nil {
		return
	}
	file_exproto_stream_v1_stream_proto_msgTypes[7].OneofWrappers = []any{
		(*Event_Bytes)(nil),
		(*Event_Messages)(nil),
		(*Event_TimerTimeout)(nil),
		(*Event_Closed)(nil),
		(*Event_Result)(nil),
	}
	file_exproto_stream_v1_stream_proto_msgTypes[14].OneofWrappers = []any{
		(*Command_Send)(nil),
		(*Command_Close)(nil),
		(*Command_Authenticate)(nil),
		(*Command_StartTimer)(nil),
		(*Command_Publish)(nil),
		(*Command_Subscribe)(nil),
		(*Command_Unsubscribe)(nil),
		(*Command_RawPublish)(nil),
		(*Command_State)(nil),
	}
	file_exproto_stream_v1_stream_proto_msgTypes[16].OneofWrappers = []any{}
	type x struct{}
	out := protoimpl.TypeBuilder{
		File: protoimpl.DescBuilder{
			GoPackagePath: reflect.TypeOf(x{}).PkgPath(),
			RawDescriptor: unsafe.Slice(unsafe.StringData(file_exproto_stream_v1_stream_proto_rawDesc), len(file_exproto_stream_v1_stream_proto_rawDesc)),
			NumEnums:      0,
			NumMessages:   22,
			NumExtensions: 0,
			NumServices:   1,
		},
		GoTypes:           file_exproto_stream_v1_stream_proto_goTypes,
		DependencyIndexes: file_exproto_stream_v1_stream_proto_depIdxs,
		MessageInfos:      file_exproto_stream_v1_stream_proto_msgTypes,
	}.Build()
	File_exproto_stream_v1_stream_proto = out.File
	file_exproto_stream_v1_stream_proto_goTypes = nil
	file_exproto_stream_v1_stream_proto_depIdxs = nil
}
