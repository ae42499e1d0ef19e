package exproto

import (
	"context"
	"fmt"
	"sync"

	"exproto.dev/handler-kit/go/streamv1"
)

// step is one callback: it holds back the commands that were issued with its context, so that they leave together with
// the acknowledgement of its event.
type step struct {
	owner *ordered

	mu        sync.Mutex
	over      bool
	staged    *parcel
	abandoned bool // its event is left to the next handler
}

// stepKey is the step's key in the context of its callback.
type stepKey struct{}

// issue gives a command to the step of its context, or to the stream where there is none, and waits for its result
// where one was asked for.
func (o *ordered) issue(ctx context.Context, command *streamv1.Command) (*streamv1.Result, error) {
	p := newParcel(command)
	o.mu.Lock()
	limits := o.outbox.limits
	o.mu.Unlock()
	if p.size > limits.batchBytes {
		return nil, fmt.Errorf("%w: a command of %d bytes, where the gateway takes batches of %d", ErrTooLarge, p.size,
			limits.batchBytes)
	}
	if command.GetResult() {
		p.result = make(chan outcome, 1)
	}
	step, _ := ctx.Value(stepKey{}).(*step)
	if step != nil && step.owner != o {
		step = nil // another connection's
	}
	if err := step.take(ctx, o, p, limits); err != nil {
		return nil, step.failed(err)
	}
	if p.result == nil {
		return nil, nil
	}
	select {
	case outcome := <-p.result:
		return outcome.result, step.failed(outcome.err)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-o.server.going:
		return nil, step.failed(ErrShutdown)
	}
}

// take keeps the command until the step's end, or lets it go with all that was kept where its result is asked for. More
// than a gateway takes for sure goes ahead, in the same way.
func (s *step) take(ctx context.Context, o *ordered, p *parcel, limits limits) error {
	if s == nil {
		return o.submit(ctx, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return o.submit(ctx, p)
	}
	if s.staged != nil && !limits.takes(s.staged, p) {
		if err := o.submit(ctx, s.staged); err != nil {
			return err
		}
		s.staged = nil
	}
	if p.result != nil {
		if s.staged != nil {
			p = s.staged.with(p)
		}
		err := o.submit(ctx, p)
		if err == nil {
			s.staged = nil
		}
		return err
	}
	if s.staged == nil {
		s.staged = p
	} else {
		s.staged.add(p)
	}
	return nil
}

// failed notes that a step cannot be finished here, where that is why its command failed.
func (s *step) failed(err error) error {
	if s != nil && err == ErrShutdown {
		s.mu.Lock()
		s.abandoned = true
		s.mu.Unlock()
	}
	return err
}

func (s *step) isAbandoned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abandoned
}

// end lets the commands go, with the acknowledgement of the event. It waits until there are credits for them.
func (s *step) end(seq uint64) {
	s.mu.Lock()
	s.over = true
	staged, abandoned := s.staged, s.abandoned
	s.mu.Unlock()
	o := s.owner
	var err error
	if staged != nil && !abandoned {
		staged.ack = seq
		err = o.submit(o.conn.ctx, staged)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case abandoned || err == ErrShutdown:
		o.inbox = nil // neither this event nor those behind it are acknowledged
	case o.gone == nil:
		o.finished(seq)
	}
}

// submit gives the parcel its numbers, once there are credits, and hands it to the stream. Of parcels that wait the
// first goes first.
func (o *ordered) submit(ctx context.Context, p *parcel) error {
	o.mu.Lock()
	b := &o.outbox
	switch {
	case o.gone != nil:
		defer o.mu.Unlock()
		return o.gone
	case o.closed && (p.result != nil || !b.hasRoom(p)): // no result comes any more, and no credits
		defer o.mu.Unlock()
		return ErrClosed
	case len(b.waiting) == 0 && b.hasRoom(p):
		o.admit(p)
		o.mu.Unlock()
		return nil
	}
	p.admitted = make(chan error, 1)
	b.waiting = append(b.waiting, p)
	o.mu.Unlock()
	select {
	case err := <-p.admitted:
		return err
	case <-ctx.Done():
		return o.withdraw(p, context.Cause(ctx))
	case <-o.server.going:
		return o.withdraw(p, ErrShutdown)
	}
}

// withdraw takes back a parcel that waits. One that has its numbers meanwhile stays.
func (o *ordered) withdraw(p *parcel, why error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, waiting := range o.outbox.waiting {
		if waiting == p {
			o.outbox.waiting = append(o.outbox.waiting[:i:i], o.outbox.waiting[i+1:]...)
			return why
		}
	}
	return <-p.admitted
}
