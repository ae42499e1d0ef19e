// Echo sends every byte back to the device it came from.
package main

import (
	"context"
	"flag"
	"log"

	exproto "exproto.dev/handler-kit/go"
)

// echo is one connection.
type echo struct{ conn *exproto.Conn }

func (e *echo) OnBytes(ctx context.Context, bytes []byte) error {
	return e.conn.Send(ctx, bytes)
}

func accept(conn *exproto.Conn) exproto.Connection { return &echo{conn} }

func main() {
	listen := flag.String("listen", "127.0.0.1:9001", "where gateways call us")
	adapter := flag.String("adapter", "", "host:port of the gateway's adapter, to serve v1 too")
	flag.Parse()
	if err := exproto.NewServer(accept, exproto.WithAdapter(*adapter)).Run(*listen); err != nil {
		log.Fatal(err)
	}
}
