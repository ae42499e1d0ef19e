// Package exproto is the Go handler kit of ExProto Gateway: it makes one object per connection of what gateway pods say.
//
// Write a type with OnBytes (see [Connection]), and a function that makes one for each connection; [NewServer] does the
// rest. Without [WithAdapter] it serves exproto.stream.v1.ConnectionStream, the ordered stream: sockets stay open while
// the handler restarts, and no byte is lost, doubled or reordered. With it, it also serves
// emqx.exproto.v1.ConnectionUnaryHandler, for gateways that speak v1 alone.
//
// # Steps
//
// A callback is a step: the commands that it issues with its context leave together with the acknowledgement of its
// event, and the gateway takes both or neither. So each effect happens exactly once, even if the process is killed at
// any moment. A command that waits for its result (Authenticate, Publish, …) leaves at once, with all that the callback
// issued before it; killed between that and its end, the callback is run again elsewhere, and those commands too.
// A callback that issues more than the credits or half a batch is split in the same way.
//
// # Where to read on
//
// connection.go and conn.go are what users see; stream.go reads one stream, writer.go writes it; inbox.go and outbox.go
// are the events and commands of one connection; pods.go knows which connection is attached where; unary.go is v1.
package exproto
