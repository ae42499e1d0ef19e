from . import exproto_pb2 as _exproto_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GatewayBatch(_message.Message):
    __slots__ = ("hello", "attaches", "events", "progress", "heartbeat", "drain")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ATTACHES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    hello: GatewayHello
    attaches: _containers.RepeatedCompositeFieldContainer[Attach]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    progress: _containers.RepeatedCompositeFieldContainer[Progress]
    heartbeat: int
    drain: Drain
    def __init__(self, hello: _Optional[_Union[GatewayHello, _Mapping]] = ..., attaches: _Optional[_Iterable[_Union[Attach, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[Progress, _Mapping]]] = ..., heartbeat: _Optional[int] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class HandlerBatch(_message.Message):
    __slots__ = ("hello", "commands", "acks", "heartbeat", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: HandlerHello
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    acks: _containers.RepeatedCompositeFieldContainer[Ack]
    heartbeat: int
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[HandlerHello, _Mapping]] = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ..., acks: _Optional[_Iterable[_Union[Ack, _Mapping]]] = ..., heartbeat: _Optional[int] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class GatewayHello(_message.Message):
    __slots__ = ("version", "capabilities", "pod", "epoch", "lane", "adapter_address", "max_commands", "max_command_bytes", "max_batch_bytes", "heartbeat_ms")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MAX_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    MAX_COMMAND_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    version: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    pod: str
    epoch: int
    lane: int
    adapter_address: str
    max_commands: int
    max_command_bytes: int
    max_batch_bytes: int
    heartbeat_ms: int
    def __init__(self, version: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., pod: _Optional[str] = ..., epoch: _Optional[int] = ..., lane: _Optional[int] = ..., adapter_address: _Optional[str] = ..., max_commands: _Optional[int] = ..., max_command_bytes: _Optional[int] = ..., max_batch_bytes: _Optional[int] = ..., heartbeat_ms: _Optional[int] = ...) -> None: ...

class HandlerHello(_message.Message):
    __slots__ = ("version", "capabilities", "instance", "max_events", "max_event_bytes", "max_batch_bytes", "library")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIBRARY_FIELD_NUMBER: _ClassVar[int]
    version: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    instance: str
    max_events: int
    max_event_bytes: int
    max_batch_bytes: int
    library: str
    def __init__(self, version: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., instance: _Optional[str] = ..., max_events: _Optional[int] = ..., max_event_bytes: _Optional[int] = ..., max_batch_bytes: _Optional[int] = ..., library: _Optional[str] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("conn", "id", "conninfo", "listener", "transport", "details", "attempt", "instance", "acknowledged", "commands_accepted", "commands_done", "state", "client", "offset")
    CONN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CONNINFO_FIELD_NUMBER: _ClassVar[int]
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_DONE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    conn: int
    id: str
    conninfo: _exproto_pb2.ConnInfo
    listener: str
    transport: str
    details: _containers.RepeatedCompositeFieldContainer[Detail]
    attempt: int
    instance: str
    acknowledged: int
    commands_accepted: int
    commands_done: int
    state: bytes
    client: Client
    offset: int
    def __init__(self, conn: _Optional[int] = ..., id: _Optional[str] = ..., conninfo: _Optional[_Union[_exproto_pb2.ConnInfo, _Mapping]] = ..., listener: _Optional[str] = ..., transport: _Optional[str] = ..., details: _Optional[_Iterable[_Union[Detail, _Mapping]]] = ..., attempt: _Optional[int] = ..., instance: _Optional[str] = ..., acknowledged: _Optional[int] = ..., commands_accepted: _Optional[int] = ..., commands_done: _Optional[int] = ..., state: _Optional[bytes] = ..., client: _Optional[_Union[Client, _Mapping]] = ..., offset: _Optional[int] = ...) -> None: ...

class Detail(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("clientid", "username")
    CLIENTID_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    clientid: str
    username: str
    def __init__(self, clientid: _Optional[str] = ..., username: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("conn", "seq", "resent", "bytes", "messages", "timer_timeout", "closed", "result")
    CONN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    RESENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TIMER_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    conn: int
    seq: int
    resent: bool
    bytes: bytes
    messages: Messages
    timer_timeout: TimerTimeout
    closed: Closed
    result: Result
    def __init__(self, conn: _Optional[int] = ..., seq: _Optional[int] = ..., resent: bool = ..., bytes: _Optional[bytes] = ..., messages: _Optional[_Union[Messages, _Mapping]] = ..., timer_timeout: _Optional[_Union[TimerTimeout, _Mapping]] = ..., closed: _Optional[_Union[Closed, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ...) -> None: ...

class Messages(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_exproto_pb2.Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[_exproto_pb2.Message, _Mapping]]] = ...) -> None: ...

class TimerTimeout(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Closed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("command", "code", "message", "session_present")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SESSION_PRESENT_FIELD_NUMBER: _ClassVar[int]
    command: int
    code: _exproto_pb2.ResultCode
    message: str
    session_present: bool
    def __init__(self, command: _Optional[int] = ..., code: _Optional[_Union[_exproto_pb2.ResultCode, str]] = ..., message: _Optional[str] = ..., session_present: bool = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("conn", "done")
    CONN_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    conn: int
    done: int
    def __init__(self, conn: _Optional[int] = ..., done: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("within_ms",)
    WITHIN_MS_FIELD_NUMBER: _ClassVar[int]
    within_ms: int
    def __init__(self, within_ms: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("conn", "seq", "result", "send", "close", "authenticate", "start_timer", "publish", "subscribe", "unsubscribe", "raw_publish", "state")
    CONN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    SEND_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATE_FIELD_NUMBER: _ClassVar[int]
    START_TIMER_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    RAW_PUBLISH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    conn: int
    seq: int
    result: bool
    send: bytes
    close: Close
    authenticate: Authenticate
    start_timer: StartTimer
    publish: Publish
    subscribe: Subscribe
    unsubscribe: str
    raw_publish: Publish
    state: bytes
    def __init__(self, conn: _Optional[int] = ..., seq: _Optional[int] = ..., result: bool = ..., send: _Optional[bytes] = ..., close: _Optional[_Union[Close, _Mapping]] = ..., authenticate: _Optional[_Union[Authenticate, _Mapping]] = ..., start_timer: _Optional[_Union[StartTimer, _Mapping]] = ..., publish: _Optional[_Union[Publish, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., unsubscribe: _Optional[str] = ..., raw_publish: _Optional[_Union[Publish, _Mapping]] = ..., state: _Optional[bytes] = ...) -> None: ...

class Close(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Authenticate(_message.Message):
    __slots__ = ("clientinfo", "password", "session_expiry")
    CLIENTINFO_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    SESSION_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    clientinfo: _exproto_pb2.ClientInfo
    password: str
    session_expiry: int
    def __init__(self, clientinfo: _Optional[_Union[_exproto_pb2.ClientInfo, _Mapping]] = ..., password: _Optional[str] = ..., session_expiry: _Optional[int] = ...) -> None: ...

class StartTimer(_message.Message):
    __slots__ = ("interval",)
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    interval: int
    def __init__(self, interval: _Optional[int] = ...) -> None: ...

class Publish(_message.Message):
    __slots__ = ("topic", "qos", "payload", "retain")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    QOS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    topic: str
    qos: int
    payload: bytes
    retain: bool
    def __init__(self, topic: _Optional[str] = ..., qos: _Optional[int] = ..., payload: _Optional[bytes] = ..., retain: bool = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("topic", "qos")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    QOS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    qos: int
    def __init__(self, topic: _Optional[str] = ..., qos: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("conn", "seq", "error")
    CONN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    conn: int
    seq: int
    error: str
    def __init__(self, conn: _Optional[int] = ..., seq: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
