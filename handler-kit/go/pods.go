package exproto

import (
	"sync"
	"time"

	"exproto.dev/handler-kit/go/streamv1"
)

// pods knows the connections of each pod, whatever stream they are attached to. Their number is the gateways' number of
// connections, and those that are detached go after a time; so it has no bound of its own.
type pods struct {
	server *Server
	mu     sync.Mutex
	byName map[string]*pod
}

// pod is one start of one pod.
type pod struct {
	server *Server
	epoch  uint64

	// Locked before a connection's own lock, never after it.
	mu      sync.Mutex
	gone    bool // another start of the pod has taken its place
	streams int
	conns   map[uint64]*ordered
	closed  []*ordered // those of them that have ended, the last [closedKept]
}

// join gives a stream the pod that it comes from. What is left of another epoch is dropped.
func (p *pods) join(name string, epoch uint64) *pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.byName[name]
	if known != nil && known.epoch != epoch {
		known.drop()
		known = nil
	}
	if known == nil {
		known = &pod{server: p.server, epoch: epoch, conns: map[uint64]*ordered{}}
		if p.byName == nil {
			p.byName = map[string]*pod{}
		}
		p.byName[name] = known
	}
	known.mu.Lock()
	known.streams++
	known.mu.Unlock()
	return known
}

// leave detaches the connections of a stream that has ended. Those that no other stream has got when
// detachedTimeout has passed are dropped.
func (p *pods) leave(s *stream) {
	s.left.Store(true) // first: from now on nothing is attached to it
	select {
	case <-s.greeted:
	default:
		return
	}
	var detached []*ordered
	s.pod.mu.Lock()
	s.pod.streams--
	for _, o := range s.pod.conns {
		if o.detach(s) {
			detached = append(detached, o)
		}
	}
	s.pod.mu.Unlock()
	if p.server.runners.isClosed() {
		p.release()
	}
	time.AfterFunc(p.server.detachedTimeout, func() {
		for _, o := range detached {
			s.pod.expire(o, s)
		}
		p.forget(s.pod)
	})
}

// forget takes a pod out of the table that has neither streams nor connections.
func (p *pods) forget(old *pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, known := range p.byName {
		if known != old {
			continue
		}
		known.mu.Lock()
		if known.streams == 0 && len(known.conns) <= len(known.closed) {
			delete(p.byName, name)
		}
		known.mu.Unlock()
	}
}

// release lets nobody wait who is detached while the server ends: what they wait for cannot come in time.
func (p *pods) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.byName {
		known.mu.Lock()
		for _, o := range known.conns {
			o.release()
		}
		known.mu.Unlock()
	}
}

// abandon ends the contexts of all connections, without a word: the process goes, and the connections do not.
func (p *pods) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.byName {
		known.mu.Lock()
		for _, o := range known.conns {
			o.drop(ErrShutdown, false)
		}
		known.mu.Unlock()
	}
}

func (p *pod) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for _, o := range p.conns {
		o.drop(ErrDetached, true)
	}
	p.conns, p.closed = nil, nil
}

func (p *pod) find(conn uint64) *ordered {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[conn]
}

// attach gives a connection to a stream: the object that is known already, where nobody else has acted for the connection
// since, and else a new one.
func (p *pod) attach(s *stream, attach *streamv1.Attach) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || s.left.Load() || p.server.runners.isClosed() {
		return
	}
	known := p.conns[attach.GetConn()]
	switch {
	case known == nil:
	case attach.GetAttempt() <= known.attempt:
		return // an older stream's, read late
	case attach.GetInstance() == p.server.instance:
		known.reattach(s, attach)
		return
	default:
		known.drop(ErrDetached, false)
	}
	fresh := newOrdered(p, s, attach)
	p.conns[attach.GetConn()] = fresh
	fresh.begin()
}

// expire drops a connection that is still detached since that stream.
func (p *pod) expire(o *ordered, since *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[o.number] == o && o.dropDetached(since) {
		delete(p.conns, o.number)
	}
}

// ended notes that a connection is over. It is kept for a while, in case that its last acknowledgement is lost and its
// last event comes again.
func (p *pod) ended(o *ordered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[o.number] != o {
		return
	}
	p.closed = append(p.closed, o)
	if len(p.closed) > closedKept {
		oldest := p.closed[0]
		p.closed = p.closed[1:]
		if p.conns[oldest.number] == oldest {
			delete(p.conns, oldest.number)
		}
	}
}
