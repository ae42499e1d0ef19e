package exproto

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"exproto.dev/handler-kit/go/streamv1"
)

// MaxState is how many bytes [Conn.SetState] keeps at most.
const MaxState = 4096

// An Option changes what a command does. Which ones a command takes stands beside it; others are ignored.
type Option func(*options)

type options struct {
	ask    bool
	qos    uint32
	retain bool
	expiry *uint32
}

// WithResult makes Send, Close and SetState wait until the gateway has carried them out, and return what became of it.
func WithResult() Option { return func(o *options) { o.ask = true } }

// WithoutResult makes a command return at once, as part of its step: it is then carried out exactly once. Its failure
// is only logged, by the gateway.
func WithoutResult() Option { return func(o *options) { o.ask = false } }

// QoS is 0 (the default), 1 or 2, of Publish, RawPublish and Subscribe.
func QoS(qos uint32) Option { return func(o *options) { o.qos = qos } }

// Retain keeps the message of Publish or RawPublish for whoever subscribes later.
func Retain() Option { return func(o *options) { o.retain = true } }

// SessionExpiry is for how long the client's session outlives its connection, in whole seconds; 0: it has no session.
// Of Authenticate; without it the listener's configuration decides.
func SessionExpiry(expiry time.Duration) Option {
	seconds := uint32(expiry / time.Second)
	return func(o *options) { o.expiry = &seconds }
}

// Session is what Authenticate has found.
type Session struct {
	// Present says that the client's session was there before.
	Present bool
}

// Send writes bytes to the device: on a datagram transport or WebSocket, as one message. The bytes are copied.
// It does not wait for the gateway; one that fails closes the connection. Takes WithResult.
func (c *Conn) Send(ctx context.Context, data []byte, with ...Option) error {
	command := &streamv1.Command{Kind: &streamv1.Command_Send{Send: bytes.Clone(data)}}
	_, err := c.issue(ctx, command, chosen(false, with))
	return err
}

// Close writes what was accepted, and closes the connection: OnClose follows, with the reason "normal". Takes
// WithResult.
func (c *Conn) Close(ctx context.Context, with ...Option) error {
	command := &streamv1.Command{Kind: &streamv1.Command_Close{Close: &streamv1.Close{}}}
	_, err := c.issue(ctx, command, chosen(false, with))
	return err
}

// Authenticate makes the connection a client. After an error it stays open and may try again. Takes SessionExpiry and
// WithoutResult.
func (c *Conn) Authenticate(ctx context.Context, info *ClientInfo, password string, with ...Option) (Session, error) {
	chosen := chosen(true, with)
	result, err := c.issue(ctx, &streamv1.Command{Kind: &streamv1.Command_Authenticate{
		Authenticate: &streamv1.Authenticate{Clientinfo: info, Password: password, SessionExpiry: chosen.expiry},
	}}, chosen)
	if err == nil && result != nil {
		c.setClient(&Client{info.GetClientid(), info.GetUsername()})
	}
	return Session{Present: result.GetSessionPresent()}, err
}

// StartTimer starts the keepalive, or replaces it: OnTimer is called after one and a half times the interval without a
// byte. The interval is in whole seconds, at least 1. Takes WithoutResult.
func (c *Conn) StartTimer(ctx context.Context, interval time.Duration, with ...Option) error {
	_, err := c.issue(ctx, &streamv1.Command{Kind: &streamv1.Command_StartTimer{
		StartTimer: &streamv1.StartTimer{Interval: uint32(interval / time.Second)},
	}}, chosen(true, with))
	return err
}

// Publish publishes a message in the client's name. Needs Authenticate. Takes QoS, Retain and WithoutResult.
func (c *Conn) Publish(ctx context.Context, topic string, payload []byte, with ...Option) error {
	chosen := chosen(true, with)
	publish := &streamv1.Command_Publish{Publish: publication(topic, payload, chosen)}
	_, err := c.issue(ctx, &streamv1.Command{Kind: publish}, chosen)
	return err
}

// RawPublish publishes a message in nobody's name: without a mountpoint, and without a question of what the client may
// do. Takes QoS, Retain and WithoutResult.
func (c *Conn) RawPublish(ctx context.Context, topic string, payload []byte, with ...Option) error {
	chosen := chosen(true, with)
	publish := &streamv1.Command_RawPublish{RawPublish: publication(topic, payload, chosen)}
	_, err := c.issue(ctx, &streamv1.Command{Kind: publish}, chosen)
	return err
}

// Subscribe subscribes the client to a topic filter: its messages come to OnMessage. Needs Authenticate. Takes QoS and
// WithoutResult.
func (c *Conn) Subscribe(ctx context.Context, filter string, with ...Option) error {
	chosen := chosen(true, with)
	subscribe := &streamv1.Command_Subscribe{Subscribe: &streamv1.Subscribe{Topic: filter, Qos: chosen.qos}}
	_, err := c.issue(ctx, &streamv1.Command{Kind: subscribe}, chosen)
	return err
}

// Unsubscribe ends the subscription to the filter. Takes WithoutResult.
func (c *Conn) Unsubscribe(ctx context.Context, filter string, with ...Option) error {
	command := &streamv1.Command{Kind: &streamv1.Command_Unsubscribe{Unsubscribe: filter}}
	_, err := c.issue(ctx, command, chosen(true, with))
	return err
}

// SetState keeps up to [MaxState] bytes with the gateway, in place of what was kept before: whoever the connection is
// attached to next has them in [Conn.State]. In a step they are kept with its acknowledgement, so they are always as
// new as the events. By v1 they are kept in this process alone, and lost with it. Takes WithResult.
func (c *Conn) SetState(ctx context.Context, state []byte, with ...Option) error {
	if len(state) > MaxState {
		return fmt.Errorf("%w: a state of %d bytes, where %d are kept", ErrTooLarge, len(state), MaxState)
	}
	state = bytes.Clone(state)
	command := &streamv1.Command{Kind: &streamv1.Command_State{State: state}}
	if _, err := c.issue(ctx, command, chosen(false, with)); err != nil {
		return err
	}
	c.setState(state)
	return nil
}

// issue hands the command on, and makes an error of a bad result.
func (c *Conn) issue(ctx context.Context, command *streamv1.Command, chosen options) (*streamv1.Result, error) {
	command.Result = chosen.ask
	result, err := c.link.issue(ctx, command)
	if err == nil && result != nil {
		err = answer(result.GetCode(), result.GetMessage())
	}
	return result, err
}

func chosen(ask bool, with []Option) options {
	chosen := options{ask: ask}
	for _, option := range with {
		option(&chosen)
	}
	return chosen
}

func publication(topic string, payload []byte, chosen options) *streamv1.Publish {
	return &streamv1.Publish{Topic: topic, Qos: chosen.qos, Payload: bytes.Clone(payload), Retain: chosen.retain}
}
