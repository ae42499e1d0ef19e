package exproto

import (
	"google.golang.org/protobuf/proto"

	"exproto.dev/handler-kit/go/streamv1"
)

// outbox is what a connection wants done, in the order of its numbers: parcels that have numbers and are not known to
// be carried out, and behind them those that wait for credits. The former are bounded by the credits, the latter by
// the goroutines of the user, each of which waits. Guarded by the connection's lock.
type outbox struct {
	limits    limits
	numbered  uint64 // the last number given
	carried   uint64 // the last command that is known to be carried out
	inherited uint64 // the last that another process has given
	accepted  uint64 // the last that was accepted when it was attached
	used      int    // bytes of credit that the parcels hold

	parcels    []*parcel
	next       int       // of parcels: the first that was not sent on this stream
	waiting    []*parcel // for credits
	acked      uint64    // the last event that was acknowledged on this stream
	complained bool      // the failure was told on this stream
	asked      map[uint64]chan outcome
	dirty      bool // the stream's writer has been told
}

// parcel is what goes into one batch, so that the gateway accepts all of it or nothing.
type parcel struct {
	commands []*streamv1.Command
	credits  []int        // bytes of credit of each command
	credit   int          // their sum
	size     int          // bytes of a batch
	ack      uint64       // the event whose step it ends; 0 for none
	result   chan outcome // of its last command, or nil
	admitted chan error   // where it waits: gets nil when it has its numbers, or why it never will
}

// outcome is a result, or why there will be none.
type outcome struct {
	result *streamv1.Result
	err    error
}

const (
	commandCredit = 64 // what a command counts besides its contents, by rule 12
	commandFrame  = 32 // bytes around a command's contents in a batch
	ackFrame      = 32 // bytes of an acknowledgement in a batch
)

func newParcel(command *streamv1.Command) *parcel {
	size := proto.Size(command)
	credit := size + commandCredit
	return &parcel{
		commands: []*streamv1.Command{command},
		credits:  []int{credit},
		credit:   credit,
		size:     size + commandFrame,
	}
}

// with is both parcels in one.
func (p *parcel) with(more *parcel) *parcel {
	return &parcel{
		commands: append(p.commands[:len(p.commands):len(p.commands)], more.commands...),
		credits:  append(p.credits[:len(p.credits):len(p.credits)], more.credits...),
		credit:   p.credit + more.credit,
		size:     p.size + more.size,
		result:   more.result,
	}
}

// add puts a command that asks for no result behind the others.
func (p *parcel) add(more *parcel) {
	p.commands = append(p.commands, more.commands...)
	p.credits = append(p.credits, more.credits...)
	p.credit += more.credit
	p.size += more.size
}

// takes says whether another parcel can go into the same batch, for sure and at once.
func (l limits) takes(p, more *parcel) bool {
	return len(p.commands)+len(more.commands) <= l.commands && p.credit+more.credit <= l.commandBytes &&
		p.size+more.size <= l.batchBytes/2
}

// hasRoom says whether the credits do for a parcel. What another process has issued counts in full, until it is
// carried out: its size is not known here.
func (b *outbox) hasRoom(p *parcel) bool {
	if b.carried < b.inherited {
		return false
	}
	open := int(b.numbered - b.carried)
	return open == 0 || open+len(p.commands) <= b.limits.commands && b.used+p.credit <= b.limits.commandBytes
}

// release takes out what was carried out.
func (b *outbox) release(carried uint64) {
	b.carried = min(max(b.carried, carried), b.numbered)
	for len(b.parcels) > 0 {
		p := b.parcels[0]
		for len(p.commands) > 0 && p.commands[0].GetSeq() <= b.carried {
			b.used -= p.credits[0]
			p.size -= p.credits[0] - commandCredit
			p.commands, p.credits = p.commands[1:], p.credits[1:]
		}
		if len(p.commands) > 0 {
			return
		}
		b.parcels[0] = nil
		b.parcels = b.parcels[1:]
		b.next = max(b.next-1, 0)
	}
	b.parcels = nil
}

// resolve hands a result to whoever waits for it.
func (b *outbox) resolve(result *streamv1.Result) {
	if waiter, ok := b.asked[result.GetCommand()]; ok {
		delete(b.asked, result.GetCommand())
		waiter <- outcome{result: result}
	}
}

// fail lets nobody wait any longer.
func (b *outbox) fail(why error) {
	for _, waiter := range b.asked {
		waiter <- outcome{err: why}
	}
	for _, p := range b.waiting {
		p.admitted <- why
	}
	b.asked, b.waiting = nil, nil
}

// rewind makes all that the gateway has not accepted the next to be sent.
func (b *outbox) rewind(limits limits, attach *streamv1.Attach) {
	b.limits = limits
	b.acked = attach.GetAcknowledged()
	b.complained = false
	b.accepted = attach.GetCommandsAccepted()
	b.dirty = false
	b.next = 0
	for b.next < len(b.parcels) {
		commands := b.parcels[b.next].commands
		if commands[len(commands)-1].GetSeq() > attach.GetCommandsAccepted() {
			return
		}
		b.next++
	}
}

// admit gives a parcel its numbers and its place. With its acknowledgement, its event is done with. Locked.
func (o *ordered) admit(p *parcel) {
	b := &o.outbox
	for _, command := range p.commands {
		b.numbered++
		command.Conn, command.Seq = o.number, b.numbered
	}
	if p.result != nil {
		if b.asked == nil {
			b.asked = map[uint64]chan outcome{}
		}
		b.asked[b.numbered] = p.result
	}
	b.used += p.credit
	b.parcels = append(b.parcels, p)
	o.done = max(o.done, p.ack)
	o.say()
}

// progress takes the gateway's word for what was carried out, and lets those go on who wait for credits.
func (o *ordered) progress(s *stream, carried uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream == s {
		o.carried(carried)
	}
}

// carried is [ordered.progress] with the lock held.
func (o *ordered) carried(carried uint64) {
	b := &o.outbox
	b.release(carried)
	for len(b.waiting) > 0 && b.hasRoom(b.waiting[0]) {
		p := b.waiting[0]
		b.waiting = b.waiting[1:]
		o.admit(p)
		p.admitted <- nil
	}
}

// say tells the stream's writer that there is something to say. Locked.
func (o *ordered) say() {
	if o.stream != nil && !o.outbox.dirty {
		o.outbox.dirty = true
		o.stream.writer.push(o)
	}
}

// fill puts into the batch what there is to say: whole parcels, and then the acknowledgement up to where they reach.
// It returns how many bytes are left, and whether something did not fit.
func (o *ordered) fill(s *stream, batch *streamv1.HandlerBatch, room int) (int, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != s {
		return room, false
	}
	b := &o.outbox
	acknowledgement := ackFrame + len(o.failed.GetError())
	empty := len(batch.Commands)+len(batch.Acks) == 0
	if room < acknowledgement && !empty {
		return room, true
	}
	var ack uint64
	for ; b.next < len(b.parcels); b.next++ {
		p := b.parcels[b.next]
		if p.size+acknowledgement > room && !empty {
			return o.acknowledge(batch, ack, room), true
		}
		batch.Commands = append(batch.Commands, p.commands...)
		room -= p.size
		ack = max(ack, p.ack)
		empty = false
	}
	b.dirty = false
	return o.acknowledge(batch, o.done, room), false
}

// acknowledge puts into the batch that the events up to this one are done with, where that is new. Locked.
func (o *ordered) acknowledge(batch *streamv1.HandlerBatch, upTo uint64, room int) int {
	b := &o.outbox
	if o.failed != nil && !b.complained && o.failed.GetSeq() <= upTo {
		batch.Acks = append(batch.Acks, o.failed)
		b.complained = true
		b.acked = max(b.acked, o.failed.GetSeq())
		room -= ackFrame + len(o.failed.GetError())
	}
	if b.acked < upTo {
		batch.Acks = append(batch.Acks, &streamv1.Ack{Conn: o.number, Seq: upTo})
		b.acked = upTo
		room -= ackFrame
	}
	return room
}
