package exproto

import (
	"sync"

	"exproto.dev/handler-kit/go/streamv1"
)

// writer is what a stream has to say.
type writer struct {
	wake chan struct{} // holds one token where there may be something to say

	mu        sync.Mutex
	dirty     []*ordered // connections with something to say, each once
	head      int        // of dirty
	finishing bool       // goodbye, after all that there is to say
	heartbeat bool       // one is due
	sent      uint64     // batches
	seen      uint64     // batches sent at the last tick
	quiet     int        // ticks without a batch
}

// write sends what there is to say, until the stream ends. While a batch is under way, the next one gathers.
func (s *stream) write() error {
	for {
		select {
		case <-s.writer.wake:
		case <-s.rpc.Context().Done():
			return s.rpc.Context().Err()
		}
		for {
			batch, last := s.gather()
			if batch == nil {
				break
			}
			if err := s.rpc.Send(batch); err != nil {
				return err
			}
			s.writer.count()
			if last {
				return nil
			}
		}
	}
}

// gather makes a batch of what there is to say, as much of it as one batch may hold; nil where there is nothing. The
// last one holds the goodbye.
func (s *stream) gather() (batch *streamv1.HandlerBatch, last bool) {
	batch = &streamv1.HandlerBatch{}
	room := s.limits.batchBytes
	for o := s.writer.next(); o != nil; o = s.writer.next() {
		var more bool
		if room, more = o.fill(s, batch, room); more {
			s.writer.putBack(o)
			return batch, false
		}
	}
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.writer.finishing && s.writer.head == len(s.writer.dirty) {
		batch.Goodbye = &streamv1.Goodbye{Reason: "the handler is shutting down"}
		return batch, true
	}
	if len(batch.Commands) == 0 && len(batch.Acks) == 0 {
		if !s.writer.heartbeat {
			return nil, false
		}
		batch.Heartbeat = s.writer.sent + 1
	}
	s.writer.heartbeat = false
	return batch, false
}

// push notes that a connection has something to say. Never waits. There is at most one entry per connection, and what
// each has to say is bounded by its credits.
func (w *writer) push(o *ordered) {
	w.mu.Lock()
	if w.head > len(w.dirty)/2 { // keeps the queue as short as what waits in it
		w.dirty = w.dirty[:copy(w.dirty, w.dirty[w.head:])]
		w.head = 0
	}
	w.dirty = append(w.dirty, o)
	w.mu.Unlock()
	w.poke()
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) next() *ordered {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.head == len(w.dirty) {
		w.dirty, w.head = w.dirty[:0], 0
		return nil
	}
	o := w.dirty[w.head]
	w.dirty[w.head] = nil
	w.head++
	return o
}

// putBack makes a connection the next one again, for what did not fit.
func (w *writer) putBack(o *ordered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.head == 0 { // whoever came meanwhile came to an emptied queue
		w.dirty = append([]*ordered{o}, w.dirty...)
		return
	}
	w.head--
	w.dirty[w.head] = o
}

func (w *writer) finish() {
	w.mu.Lock()
	w.finishing = true
	w.mu.Unlock()
	w.poke()
}

func (w *writer) count() {
	w.mu.Lock()
	w.sent++
	w.mu.Unlock()
}

// tick comes twice in a heartbeat. It makes one due where nothing was sent since the last tick but one.
func (w *writer) tick() {
	w.mu.Lock()
	w.quiet++
	if w.sent != w.seen {
		w.seen, w.quiet = w.sent, 0
	}
	due := w.quiet >= 2
	w.heartbeat = w.heartbeat || due
	if due {
		w.quiet = 0
	}
	w.mu.Unlock()
	if due {
		w.poke()
	}
}
