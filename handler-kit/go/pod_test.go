package exproto_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"exproto.dev/handler-kit/go/exprotov1"
	"exproto.dev/handler-kit/go/streamv1"
)

// deadline is how long a test waits for what must come.
const deadline = 20 * time.Second

// maxEvents are the credits that the kit gives unless told.
const maxEvents = 64

// pod is a gateway in the test: it speaks the ordered stream by its rules, and complains of a handler that does not.
type pod struct {
	t     *testing.T
	hello *streamv1.GatewayHello

	mu           sync.Mutex
	changed      chan struct{} // closed and replaced on every change
	devices      map[uint64]*device
	lane         *lane // the present stream
	batches      []*streamv1.HandlerBatch
	holdProgress bool
	holdResults  bool
	check        func() // after each batch
}

// device is one connection, as the pod knows it.
type device struct {
	attempt   uint32
	told      string            // the instance that was told last
	actor     string            // the one that acted last
	events    []*streamv1.Event // not acknowledged
	seq       uint64
	acked     uint64
	accepted  uint64
	done      uint64
	waiting   int // bytes of credit of commands that are not done
	state     []byte
	offset    uint64
	sent      []byte
	published []string
	failure   string // of Ack.error
	closing   bool
}

// lane is one stream of the pod.
type lane struct {
	pod    *pod
	rpc    grpc.BidiStreamingClient[streamv1.GatewayBatch, streamv1.HandlerBatch]
	cancel context.CancelFunc
	hello  *streamv1.HandlerHello
	err    error // why it has ended
	ended  bool
	gone   bool // goodbye was said
}

func newPod(t *testing.T) *pod {
	return &pod{
		t: t,
		hello: &streamv1.GatewayHello{
			Version: 1, Pod: "pod-" + t.Name(), Epoch: 1, MaxCommands: 16, MaxCommandBytes: 64 << 10,
			MaxBatchBytes: 64 << 10, HeartbeatMs: 5000,
		},
		changed: make(chan struct{}),
		devices: map[uint64]*device{},
	}
}

// dial makes a channel to a handler that ends with the test.
func dial(t *testing.T, address string) *grpc.ClientConn {
	channel, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { channel.Close() })
	return channel
}

// raw opens a stream and says nothing.
func raw(t *testing.T, address string) grpc.BidiStreamingClient[streamv1.GatewayBatch, streamv1.HandlerBatch] {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	rpc, err := streamv1.NewConnectionStreamClient(dial(t, address)).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rpc
}

// connect opens a stream in place of the present one, and attaches all devices to it.
func (p *pod) connect(address string) *lane {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	rpc, err := streamv1.NewConnectionStreamClient(dial(p.t, address)).Run(ctx)
	if err == nil {
		err = rpc.Send(&streamv1.GatewayBatch{Hello: p.hello})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	first, err := rpc.Recv()
	if err != nil || first.GetHello() == nil {
		p.t.Fatalf("no hello: %v %v", first, err)
	}
	l := &lane{pod: p, rpc: rpc, cancel: cancel, hello: first.GetHello()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lane = l
	for conn, device := range p.devices {
		p.attach(conn, device, true)
	}
	go l.read()
	return l
}

// cut ends the stream without a word.
func (p *pod) cut() {
	p.mu.Lock()
	lane := p.lane
	p.lane = nil
	p.mu.Unlock()
	lane.cancel()
}

// attach introduces a device on the present stream. Locked.
func (p *pod) attach(conn uint64, d *device, resent bool) {
	d.attempt++
	instance := d.actor
	if instance == "" {
		instance = d.told
	}
	batch := &streamv1.GatewayBatch{Attaches: []*streamv1.Attach{{
		Conn: conn, Id: fmt.Sprintf("id-%d", conn), Listener: "tcp", Transport: "tcp", Attempt: d.attempt,
		Conninfo: &exprotov1.ConnInfo{Peername: &exprotov1.Address{Host: "10.0.0.1", Port: uint32(conn)}},
		Details:  []*streamv1.Detail{{Name: "exproto-tls-sni", Value: []byte("example.net")}},
		Instance: instance, Acknowledged: d.acked, CommandsAccepted: d.accepted, CommandsDone: d.done,
		State: d.state, Offset: d.offset,
	}}}
	d.told = p.lane.hello.GetInstance()
	for _, event := range d.events {
		again := proto.Clone(event).(*streamv1.Event)
		again.Resent = resent
		batch.Events = append(batch.Events, again)
	}
	p.send(batch)
}

// open makes a device and attaches it.
func (p *pod) open(conn uint64) *device {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &device{}
	p.devices[conn] = d
	p.attach(conn, d, false)
	return d
}

// event makes something happen to a device.
func (p *pod) event(conn uint64, event *streamv1.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emit(conn, event)
}

func (p *pod) emit(conn uint64, event *streamv1.Event) {
	d := p.devices[conn]
	d.seq++
	event.Conn, event.Seq = conn, d.seq
	d.events = append(d.events, event)
	p.send(&streamv1.GatewayBatch{Events: []*streamv1.Event{event}})
}

// bytes makes the device send something, as soon as there are credits.
func (p *pod) bytes(conn uint64, text string) {
	p.t.Helper()
	p.until("credits", func() bool { return len(p.devices[conn].events) < maxEvents })
	p.event(conn, &streamv1.Event{Kind: &streamv1.Event_Bytes{Bytes: []byte(text)}})
}

func (p *pod) close(conn uint64, reason string) {
	p.event(conn, &streamv1.Event{Kind: &streamv1.Event_Closed{Closed: &streamv1.Closed{Reason: reason}}})
}

// send writes to the present stream, if there is one. Locked.
func (p *pod) send(batch *streamv1.GatewayBatch) {
	if p.lane != nil && !p.lane.gone {
		_ = p.lane.rpc.Send(batch) // of one that has broken: the device is attached again
	}
}

// read takes what the handler says.
func (l *lane) read() {
	for {
		batch, err := l.rpc.Recv()
		l.pod.mu.Lock()
		if err != nil {
			l.ended = true
			if err != io.EOF {
				l.err = err
			}
		} else if l == l.pod.lane { // what comes by a stream that was cut is lost
			l.pod.take(batch)
		}
		close(l.pod.changed)
		l.pod.changed = make(chan struct{})
		l.pod.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take carries out a batch: commands before acknowledgements. Locked.
func (p *pod) take(batch *streamv1.HandlerBatch) {
	p.batches = append(p.batches, batch)
	if size := proto.Size(batch); size > int(p.hello.MaxBatchBytes) {
		p.t.Errorf("a batch of %d bytes", size)
	}
	if batch.GetHello() != nil {
		p.t.Error("a second hello")
	}
	for _, command := range batch.GetCommands() {
		p.accept(command)
	}
	for _, ack := range batch.GetAcks() {
		d := p.devices[ack.GetConn()]
		if ack.GetSeq() > d.seq {
			p.t.Errorf("event %d was never shown, but is acknowledged", ack.GetSeq())
		}
		if d.failure == "" {
			d.failure = ack.GetError()
		}
		if ack.GetSeq() > d.acked {
			d.actor = p.lane.hello.GetInstance()
		}
		for len(d.events) > 0 && d.events[0].GetSeq() <= ack.GetSeq() {
			d.offset += uint64(len(d.events[0].GetBytes()))
			d.events = d.events[1:]
		}
		d.acked = max(d.acked, ack.GetSeq())
	}
	if p.check != nil {
		p.check()
	}
	if batch.GetGoodbye() != nil {
		p.lane.gone = true
	}
	if !p.holdProgress {
		p.progress()
	}
}

// accept takes a command, once. Locked.
func (p *pod) accept(command *streamv1.Command) {
	d := p.devices[command.GetConn()]
	switch {
	case command.GetSeq() <= d.accepted:
		return
	case command.GetSeq() > d.accepted+1:
		p.t.Errorf("command %d came after command %d", command.GetSeq(), d.accepted)
	}
	d.accepted = command.GetSeq()
	d.actor = p.lane.hello.GetInstance()
	d.waiting += 64 + len(command.GetSend()) + len(command.GetState()) + len(command.GetPublish().GetPayload())
	alone := d.accepted-d.done == 1
	if d.accepted-d.done > uint64(p.hello.MaxCommands) || d.waiting > int(p.hello.MaxCommandBytes) && !alone {
		p.t.Errorf("more than the credits: %d commands of %d bytes", d.accepted-d.done, d.waiting)
	}
	switch kind := command.GetKind().(type) {
	case *streamv1.Command_Send:
		d.sent = append(d.sent, kind.Send...)
	case *streamv1.Command_State:
		d.state = kind.State
	case *streamv1.Command_Close:
		d.closing = true
	case *streamv1.Command_Publish:
		d.published = append(d.published, kind.Publish.GetTopic()+" "+string(kind.Publish.GetPayload()))
	case nil:
		p.t.Error("a command without contents")
	}
	if command.GetResult() && !p.holdResults {
		p.result(command.GetConn(), command.GetSeq(), exprotov1.ResultCode_SUCCESS, "")
	}
}

// result answers a command. Locked.
func (p *pod) result(conn, command uint64, code exprotov1.ResultCode, message string) {
	result := &streamv1.Result{Command: command, Code: code, Message: message}
	p.emit(conn, &streamv1.Event{Kind: &streamv1.Event_Result{Result: result}})
}

// progress says that all was carried out that was accepted. Locked.
func (p *pod) progress() {
	batch := &streamv1.GatewayBatch{}
	for conn, d := range p.devices {
		if d.done < d.accepted {
			d.done, d.waiting = d.accepted, 0
			batch.Progress = append(batch.Progress, &streamv1.Progress{Conn: conn, Done: d.done})
		}
	}
	if len(batch.Progress) > 0 {
		p.send(batch)
	}
}

// locked runs something between two batches.
func (p *pod) locked(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
}

// until waits for something that the handler's batches bring about.
func (p *pod) until(what string, holds func() bool) {
	p.t.Helper()
	timeout := time.After(deadline)
	for {
		p.mu.Lock()
		changed := p.changed
		if holds() {
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("did not happen: %s; the stream's error is %v", what, p.lane.err)
		}
	}
}
