package exproto

import (
	"context"
	"net"
	"strconv"
	"sync"

	"exproto.dev/handler-kit/go/streamv1"
)

// Conn is the connection as its user's object sees it: who the device is, and what can be done with it (commands.go).
// All its methods may be called from any goroutine.
type Conn struct {
	attach *streamv1.Attach // as it was when this process got the connection
	link   link
	ctx    context.Context

	mu     sync.Mutex
	state  []byte
	client *Client
	offset uint64
}

// link carries a connection's commands to the gateway: on its stream, or by calls of the adapter.
type link interface {
	// issue returns the result where one was asked for. Without asking, it returns as soon as there is room.
	issue(ctx context.Context, command *streamv1.Command) (*streamv1.Result, error)
}

// Client is a connection after Authenticate.
type Client struct {
	// ID is its clientid.
	ID string
	// Username is empty where none was given.
	Username string
}

// Detail is something else that is known of the device.
type Detail struct {
	// Name is one of those in docs/listeners.md, such as exproto-tls-sni, without -bin. A name may come more than once.
	Name string
	// Value is text in most cases.
	Value []byte
}

func newConn(attach *streamv1.Attach, ctx context.Context) *Conn {
	conn := &Conn{attach: attach, ctx: ctx, state: attach.GetState(), offset: attach.GetOffset()}
	if client := attach.GetClient(); client != nil {
		conn.client = &Client{client.GetClientid(), client.GetUsername()}
	}
	return conn
}

// ID names the connection, as the ConnectionAdapter knows it. Opaque.
func (c *Conn) ID() string { return c.attach.GetId() }

// Info is the connection's two ends, and the certificate that the device showed.
func (c *Conn) Info() *ConnInfo { return c.attach.GetConninfo() }

// Peer is the device's address, as host:port.
func (c *Conn) Peer() string {
	peer := c.Info().GetPeername()
	return net.JoinHostPort(peer.GetHost(), strconv.Itoa(int(peer.GetPort())))
}

// Listener is the name of the gateway's listener that the device came by.
func (c *Conn) Listener() string { return c.attach.GetListener() }

// Transport is tcp, tls, udp, dtls, ws or wss.
func (c *Conn) Transport() string { return c.attach.GetTransport() }

// Details are what else is known of the device: certificate, SNI, what a balancer said. The names are listed in
// docs/listeners.md.
func (c *Conn) Details() []Detail {
	details := make([]Detail, 0, len(c.attach.GetDetails()))
	for _, detail := range c.attach.GetDetails() {
		details = append(details, Detail{detail.GetName(), detail.GetValue()})
	}
	return details
}

// Detail is the first detail of that name, and whether there is one.
func (c *Conn) Detail(name string) (string, bool) {
	for _, detail := range c.attach.GetDetails() {
		if detail.GetName() == name {
			return string(detail.GetValue()), true
		}
	}
	return "", false
}

// Attempt is 1 where no handler has heard of the connection before, and more where one has: it may have issued
// commands, and may have left a [Conn.State].
func (c *Conn) Attempt() int { return int(c.attach.GetAttempt()) }

// Offset is how many bytes the device had sent before the event that is being handled.
func (c *Conn) Offset() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Client is who the connection is, and nil before Authenticate.
func (c *Conn) Client() *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client
}

// State is what [Conn.SetState] has kept last, by this process or by the one before; nil where there is none.
func (c *Conn) State() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Context is done when the connection is over for this process. Commands that are issued with it belong to no step.
func (c *Conn) Context() context.Context { return c.ctx }

func (c *Conn) setState(state []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

func (c *Conn) setClient(client *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client = client
}

func (c *Conn) setOffset(offset uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}
