package exproto

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"exproto.dev/handler-kit/go/exprotov1"
)

// Connection is what the user writes: one value per connection of a device.
//
// Its callbacks run one after another, in the order of the events; those of different connections run concurrently.
// Besides OnBytes it may have the methods of [Opener], [MessageReceiver], [TimerReceiver] and [Closer]. A callback that
// returns an error or panics is logged, and the gateway closes its connection with the reason handler_error; what the
// callback has issued before is still carried out.
//
// The context of a callback is its step: commands issued with it, or with one derived from it, leave together with the
// event's acknowledgement. It is done when the connection is over: after OnClose, or when this handler has lost it.
type Connection interface {
	// OnBytes gets what the device has sent: some bytes of a stream, or one datagram, frame or WebSocket message. The
	// slice is the callback's to keep.
	OnBytes(ctx context.Context, bytes []byte) error
}

// Opener is a [Connection] that wants to be told when it is attached to this process for the first time: before all
// its other callbacks. [Conn.Attempt] above 1 says that another process has had it before.
type Opener interface {
	OnOpen(ctx context.Context) error
}

// MessageReceiver is a [Connection] that gets the messages of its subscriptions, one by one. All messages of one event
// are one step. Without it they are acknowledged and dropped.
type MessageReceiver interface {
	OnMessage(ctx context.Context, message *Message) error
}

// TimerReceiver is a [Connection] that is told when the keepalive of [Conn.StartTimer] has run out. The connection
// closes next; what is sent from here is still delivered.
type TimerReceiver interface {
	OnTimer(ctx context.Context) error
}

// Closer is a [Connection] that is told of its end, once and last: with the words of OnSocketClosed, or "detached" when
// no gateway has attached it again for [WithDetachedTimeout].
type Closer interface {
	OnClose(ctx context.Context, reason string) error
}

// Accept makes the user's object for a connection. It should only build it: what takes time belongs into OnOpen.
type Accept func(conn *Conn) Connection

// Types of the contract that users meet.
type (
	// Message is a message of a subscription: topic, payload, qos, from, timestamp.
	Message = exprotov1.Message
	// ClientInfo says who a device is, for [Conn.Authenticate]: clientid is required.
	ClientInfo = exprotov1.ClientInfo
	// ConnInfo is the connection's two ends, and the certificate that the device showed.
	ConnInfo = exprotov1.ConnInfo
)

// ReasonDetached is OnClose's reason for a connection that no gateway has attached again in time.
const ReasonDetached = "detached"

// callbacks calls the user's object, and makes errors of its panics.
type callbacks struct {
	object Connection // nil until it is made
}

// open makes the user's object and tells it so.
func (c *callbacks) open(ctx context.Context, accept Accept, conn *Conn) error {
	return caught(func() error {
		if c.object = accept(conn); c.object == nil {
			return errors.New("accept returned no Connection")
		}
		if opener, ok := c.object.(Opener); ok {
			return opener.OnOpen(ctx)
		}
		return nil
	})
}

func (c *callbacks) bytes(ctx context.Context, bytes []byte) error {
	return caught(func() error { return c.object.OnBytes(ctx, bytes) })
}

func (c *callbacks) messages(ctx context.Context, messages []*Message) error {
	receiver, ok := c.object.(MessageReceiver)
	if !ok {
		return nil
	}
	return caught(func() error {
		for _, message := range messages {
			if err := receiver.OnMessage(ctx, message); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *callbacks) timer(ctx context.Context) error {
	receiver, ok := c.object.(TimerReceiver)
	if !ok {
		return nil
	}
	return caught(func() error { return receiver.OnTimer(ctx) })
}

func (c *callbacks) closed(ctx context.Context, reason string) error {
	closer, ok := c.object.(Closer)
	if !ok {
		return nil
	}
	return caught(func() error { return closer.OnClose(ctx, reason) })
}

// panicked is what became of a panic in a callback.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func caught(callback func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicked{value, debug.Stack()}
		}
	}()
	return callback()
}

// complain logs a callback's error. That the connection was over is not the callback's fault.
func complain(log *slog.Logger, conn *Conn, err error, over bool) {
	log = log.With("conn", conn.ID(), "peer", conn.Peer(), "error", err)
	var panicked *panicked
	switch {
	case errors.As(err, &panicked):
		log.Error("a callback has panicked; the connection ends", "stack", string(panicked.stack))
	case over && (errors.Is(err, ErrClosed) || errors.Is(err, ErrDetached)):
		log.Debug("a callback was cut short by the end of its connection")
	default:
		log.Error("a callback has failed; the connection ends")
	}
}

// errorText is what the gateway is told of a callback's error.
func errorText(err error) string {
	text := err.Error()
	if text == "" {
		text = "an error without a text"
	}
	return strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "")
}
