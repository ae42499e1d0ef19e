package exproto

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"exproto.dev/handler-kit/go/streamv1"
)

// ordered is one connection on the ordered stream: what has happened to it (here), and what is to be done with it
// (outbox.go). It outlives the streams that it is attached to. While nothing happens it has no goroutine.
type ordered struct {
	user    callbacks
	conn    *Conn
	pod     *pod
	server  *Server
	number  uint64
	attempt uint32 // of the Attach that counts; guarded by the pod's lock
	end     context.CancelCauseFunc

	mu     sync.Mutex
	stream *stream // nil while detached
	was    *stream // the one before
	gone   error   // why it is not ours any more; nil while it is

	inbox   []*streamv1.Event
	events  uint32        // of the inbox, those that use up credits; more than the gateway was told end the connection
	running bool          // a goroutine is at it
	shown   uint64        // the last event that was put into the inbox
	done    uint64        // the last event that is done with, as all before it
	failed  *streamv1.Ack // the callback that has failed, or nil
	closed  bool          // the last event has come
	told    bool          // OnClose has begun

	outbox outbox
}

// Events that no gateway sends: they have no number, and are not acknowledged.
var (
	opening  = &streamv1.Event{}
	detached = &streamv1.Event{Kind: &streamv1.Event_Closed{Closed: &streamv1.Closed{Reason: ReasonDetached}}}
)

func newOrdered(p *pod, s *stream, attach *streamv1.Attach) *ordered {
	ctx, end := context.WithCancelCause(context.Background())
	o := &ordered{
		conn:    newConn(attach, ctx),
		pod:     p,
		server:  p.server,
		number:  attach.GetConn(),
		attempt: attach.GetAttempt(),
		end:     end,
		stream:  s,
		shown:   attach.GetAcknowledged(),
		done:    attach.GetAcknowledged(),
		inbox:   []*streamv1.Event{opening},
		outbox: outbox{
			limits:    s.limits,
			numbered:  attach.GetCommandsAccepted(),
			inherited: attach.GetCommandsAccepted(),
			accepted:  attach.GetCommandsAccepted(),
			carried:   attach.GetCommandsDone(),
			acked:     attach.GetAcknowledged(),
		},
	}
	o.conn.link = o
	return o
}

// begin has the user's object made.
func (o *ordered) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wake()
}

// wake starts the goroutine that empties the inbox. Locked.
func (o *ordered) wake() {
	if !o.running && len(o.inbox) > 0 && o.server.runners.enter() {
		o.running = true
		go o.run()
	}
}

// receive takes an event. Events that were shown already are not shown again, and those of a stream that the
// connection has left are ignored: they come again on the one that it is attached to.
func (o *ordered) receive(s *stream, event *streamv1.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != s || o.gone != nil || event.GetSeq() <= o.shown {
		return
	}
	result := event.GetResult()
	if result != nil {
		o.outbox.resolve(result)
	}
	if o.server.runners.isClosed() && (result == nil || event.GetSeq() != o.shown+1) {
		return // the next handler gets it
	}
	if event.GetSeq() != o.shown+1 {
		o.broken(s, event.GetSeq(), fmt.Errorf("event %d came after event %d", event.GetSeq(), o.shown))
		return
	}
	if result == nil && event.GetClosed() == nil {
		if o.events++; o.server.maxEvents > 0 && o.events > o.server.maxEvents {
			o.broken(s, event.GetSeq(), fmt.Errorf("more than %d events came ahead", o.server.maxEvents))
			return
		}
	}
	o.shown = event.GetSeq()
	if event.GetClosed() != nil {
		o.closed = true
		o.outbox.fail(ErrClosed)
	}
	if result != nil && !o.running && len(o.inbox) == 0 {
		o.finished(event.GetSeq())
		return
	}
	o.inbox = append(o.inbox, event)
	o.wake()
}

// broken ends a connection whose events are not as the rules say. Locked.
func (o *ordered) broken(s *stream, seq uint64, err error) {
	s.log.Error("a gateway does not keep the rules; the connection ends", "conn", o.conn.ID(), "error", err)
	o.shown = seq
	o.fail(seq, err)
	o.finished(seq)
}

// run handles events until there are none.
func (o *ordered) run() {
	defer o.server.runners.leave()
	for event := o.take(); event != nil; event = o.take() {
		o.handle(event)
	}
}

func (o *ordered) take() *streamv1.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.inbox) == 0 || o.server.isGoing() {
		o.inbox, o.running = nil, false
		return nil
	}
	event := o.inbox[0]
	o.inbox[0] = nil
	o.inbox = o.inbox[1:]
	if o.events > 0 && event != opening && event.GetResult() == nil && event.GetClosed() == nil {
		o.events--
	}
	return event
}

// handle makes one step of one event.
func (o *ordered) handle(event *streamv1.Event) {
	step := &step{owner: o}
	ctx := context.WithValue(o.conn.ctx, stepKey{}, step)
	err := o.call(ctx, event)
	if bytes, ok := event.GetKind().(*streamv1.Event_Bytes); ok {
		o.conn.setOffset(o.conn.Offset() + uint64(len(bytes.Bytes)))
	}
	if err != nil && !step.isAbandoned() {
		o.mu.Lock()
		over := o.closed || o.gone != nil
		o.mu.Unlock()
		complain(o.server.log, o.conn, err, over)
		if event == opening {
			defer o.failedToOpen(err) // after what it has sent
		} else if !over || !errors.Is(err, ErrClosed) { // what ends anyway has not failed, and what came before is still shown
			o.mu.Lock()
			o.fail(event.GetSeq(), err)
			o.mu.Unlock()
		}
	}
	step.end(event.GetSeq())
	if event.GetClosed() != nil {
		o.end(ErrClosed)
		o.user.object = nil
		o.pod.ended(o)
	}
}

// failedToOpen says so beside the last acknowledgement, as there is no event that it is about.
func (o *ordered) failedToOpen(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(o.done, err)
	o.say()
}

// call calls the user's object. After a failed callback it hears of nothing but the end.
func (o *ordered) call(ctx context.Context, event *streamv1.Event) error {
	if event == opening {
		return o.user.open(ctx, o.server.accept, o.conn)
	}
	if closed := event.GetClosed(); closed != nil {
		return o.close(ctx, closed.GetReason())
	}
	o.mu.Lock()
	failed := o.failed != nil || o.user.object == nil
	o.mu.Unlock()
	if failed {
		return nil
	}
	switch kind := event.GetKind().(type) {
	case *streamv1.Event_Bytes:
		return o.user.bytes(ctx, kind.Bytes)
	case *streamv1.Event_Messages:
		return o.user.messages(ctx, kind.Messages.GetMessages())
	case *streamv1.Event_TimerTimeout:
		return o.user.timer(ctx)
	default:
		return nil // a result, which was handed over when it came, or a kind of a later version
	}
}

// close tells the user's object of the end, if it has not been told, with a context that is not done.
func (o *ordered) close(ctx context.Context, reason string) error {
	o.mu.Lock()
	told := o.told || o.user.object == nil
	o.told = true
	o.mu.Unlock()
	if told {
		return nil
	}
	return o.user.closed(context.WithoutCancel(ctx), reason)
}

// fail notes the first failure, for its acknowledgement. Locked.
func (o *ordered) fail(seq uint64, err error) {
	if o.failed == nil {
		o.failed = &streamv1.Ack{Conn: o.number, Seq: seq, Error: errorText(err)}
	}
}

// finished notes that an event, and so all before it, is done with. Locked.
func (o *ordered) finished(seq uint64) {
	if seq > o.done {
		o.done = seq
		o.say()
	}
}

// detach takes the connection off the stream, and says whether it was on it.
func (o *ordered) detach(s *stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != s {
		return false
	}
	o.stream, o.was = nil, s
	return true
}

// release lets nobody wait for credits or results while it is detached and the server ends.
func (o *ordered) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream == nil {
		o.outbox.fail(ErrShutdown)
	}
}

// reattach goes on, on another stream: what the gateway has not accepted is sent again, and so are the
// acknowledgements that it has not got. Under the pod's lock.
func (o *ordered) reattach(s *stream, attach *streamv1.Attach) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attempt = attach.GetAttempt()
	o.stream = s
	o.outbox.rewind(s.limits, attach)
	o.carried(attach.GetCommandsDone())
	o.say()
}

// dropDetached drops the connection if it is still detached since that stream.
func (o *ordered) dropDetached(since *stream) bool {
	o.mu.Lock()
	still := o.stream == nil && o.was == since && !o.told
	o.mu.Unlock()
	if still {
		o.drop(ErrDetached, true)
	}
	return still
}

// drop ends the object, not the connection: nothing of it is sent any more. Told, OnClose gets "detached".
func (o *ordered) drop(why error, tell bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone != nil {
		return
	}
	o.gone = why
	o.stream = nil
	o.end(why)
	o.outbox.fail(why)
	o.inbox = nil
	if tell {
		o.inbox = append(o.inbox, detached)
		o.wake()
	}
}
