package exproto_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	exproto "exproto.dev/handler-kit/go"
)

const (
	theStream = "ConnectionStream"
	theUnary  = "ConnectionUnaryHandler"
)

// services runs a test by the ordered stream, and by v1.
func services(t *testing.T, test func(t *testing.T, service, adapter string)) {
	for _, service := range []string{theStream, theUnary} {
		t.Run(service, func(t *testing.T) { test(t, service, free(t)) })
	}
}

// startEcho starts the example as a process of its own.
func startEcho(t *testing.T, program, address string) *process {
	t.Helper()
	p := start(t, exec.Command(program, "-listen", address))
	p.await(regexp.MustCompile("serving"))
	return p
}

func buildEcho(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.Command("go", "build", "-o", program, "./example/echo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// devices echoes with so many at once; read is told of each line of the first device.
func devices(t *testing.T, g *gateway, count, lines int, read func(line int)) {
	t.Helper()
	errs := make(chan error, count)
	for i := range count {
		device := g.connect(t)
		go func() {
			mine := read
			if i > 0 {
				mine = func(int) {}
			}
			errs <- device.echoes(lines, mine)
		}()
	}
	for range count {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestGatewayEchoes(t *testing.T) {
	services(t, func(t *testing.T, service, adapter string) {
		reasons := make(chan string, 1)
		h := serve(t, scripted{close: func(_ context.Context, conn *exproto.Conn, reason string) error {
			if conn.Listener() != "tcp" || conn.Transport() != "tcp" || conn.Offset() != 6 || conn.Attempt() != 1 {
				t.Error(conn.Listener(), conn.Transport(), conn.Offset(), conn.Attempt())
			}
			reasons <- reason
			return nil
		}}, exproto.WithAdapter(adapter))
		device := startGateway(t, service, adapter, h.address).connect(t)
		device.says("hello")
		device.hears("hello")
		device.Close()
		if reason := within(t, "OnClose", reasons); reason != "tcp_closed" {
			t.Error(reason)
		}
	})
}

func TestGatewayKeepsDevicesWhileTheHandlerIsKilled(t *testing.T) {
	program, address := buildEcho(t), free(t)
	g := startGateway(t, theStream, free(t), address)
	handler := startEcho(t, program, address)
	const lines = 20000
	devices(t, g, 10, lines, func(line int) {
		if line == lines/4 || line == lines/2 || line == lines*3/4 {
			handler.kill()
			handler = startEcho(t, program, address)
		}
	})
}

func TestGatewayKeepsDevicesWhileTheHandlerIsRestarted(t *testing.T) {
	program, one, two := buildEcho(t), free(t), free(t)
	g := startGateway(t, theStream, free(t), one, two)
	handlers := []*process{startEcho(t, program, one), startEcho(t, program, two)}
	const lines = 20000
	devices(t, g, 10, lines, func(line int) {
		if line == lines/3 || line == lines*2/3 {
			i := line / (lines * 2 / 3)
			if err := handlers[i].terminate(); err != nil {
				t.Errorf("the handler ended with %v", err)
			}
			handlers[i] = startEcho(t, program, []string{one, two}[i])
		}
	})
}

// remembering is an echo that checks what it is shown against what it has seen.
type remembering struct {
	conn   *exproto.Conn
	taken  uint64
	errors *atomic.Int32
}

func (r *remembering) OnBytes(ctx context.Context, bytes []byte) error {
	if r.conn.Offset() != r.taken {
		r.errors.Add(1)
	}
	r.taken += uint64(len(bytes))
	return r.conn.Send(ctx, bytes)
}

func TestGatewayKeepsDevicesWhileStreamsAreCut(t *testing.T) {
	var wrong, opened atomic.Int32
	h := serveAccept(t, func(conn *exproto.Conn) exproto.Connection {
		opened.Add(1)
		return &remembering{conn, conn.Offset(), &wrong}
	})
	cuts := startCutter(t, h.address, 40, 60000)
	g := startGateway(t, theStream, free(t), cuts.address)
	devices(t, g, 20, 5000, func(int) {})
	if cut := cuts.cutSoFar(); cut < 40 || wrong.Load() != 0 {
		t.Errorf("%d cuts, %d wrong offsets", cut, wrong.Load())
	}
	t.Logf("%d objects were made for 20 devices", opened.Load())
}

// chatting is a line protocol: auth NAME, sub FILTER, unsub FILTER, pub TOPIC TEXT.
func chatting() scripted {
	var lines sync.Map // what each connection has of its next line
	return scripted{
		bytes: func(ctx context.Context, conn *exproto.Conn, data []byte) error {
			begun, _ := lines.Load(conn)
			begunBytes, _ := begun.([]byte)
			all := append(begunBytes, data...)
			for {
				line, rest, whole := bytes.Cut(all, []byte("\n"))
				if !whole {
					lines.Store(conn, all)
					return nil
				}
				all = rest
				text := "ok\n"
				if err := obey(ctx, conn, strings.SplitN(string(line), " ", 3)); err != nil {
					text = fmt.Sprintf("%.15s\n", err)
				}
				if err := conn.Send(ctx, []byte(text)); err != nil {
					return err
				}
			}
		},
		message: func(ctx context.Context, conn *exproto.Conn, message *exproto.Message) error {
			return conn.Send(ctx, fmt.Appendf(nil, "%s: %s\n", message.GetTopic(), message.GetPayload()))
		},
	}
}

func obey(ctx context.Context, conn *exproto.Conn, words []string) error {
	switch words[0] {
	case "auth":
		_, err := conn.Authenticate(ctx, &exproto.ClientInfo{ProtoName: "chat", ProtoVer: "1", Clientid: words[1]}, "")
		return err
	case "sub":
		return conn.Subscribe(ctx, words[1], exproto.QoS(1))
	case "unsub":
		return conn.Unsubscribe(ctx, words[1])
	case "raw":
		return conn.RawPublish(ctx, words[1], []byte(words[2]))
	case "timer":
		return conn.StartTimer(ctx, 1)
	default:
		return conn.Publish(ctx, words[1], []byte(words[2]), exproto.QoS(1))
	}
}

func TestGatewayPublishesAndSubscribes(t *testing.T) {
	services(t, func(t *testing.T, service, adapter string) {
		h := serve(t, chatting(), exproto.WithAdapter(adapter))
		g := startGateway(t, service, adapter, h.address)
		one, two := g.connect(t), g.connect(t)
		for _, step := range []struct {
			who         *socket
			says, hears string
		}{
			{one, "pub room/1 early", "PERMISSION_DENY"},
			{one, "auth one", "ok"},
			{one, "sub room/+", "ok"},
			{one, "timer", "PARAMS_TYPE_ERR"}, // of less than a second
			{two, "auth two", "ok"},
			{two, "pub room/1 hello", "ok"},
			{one, "", ""},
			{two, "raw room/2 raw", "ok"},
			{one, "", ""},
			{one, "unsub room/+", "ok"},
			{two, "pub room/1 nobody", "ok"},
			{two, "pub room/+ no", "PARAMS_TYPE_ERR"},
		} {
			switch {
			case step.says != "":
				step.who.says(step.says)
				step.who.hears(step.hears)
			case step.who == one:
				line, err := one.lines.ReadString('\n')
				if err != nil || line != "room/1: hello\n" && line != "room/2: raw\n" {
					t.Fatalf("heard %q: %v", line, err)
				}
			}
		}
	})
}

func TestGatewayEchoesMegabytes(t *testing.T) {
	services(t, func(t *testing.T, service, adapter string) {
		h := serve(t, scripted{}, exproto.WithAdapter(adapter))
		device := startGateway(t, service, adapter, h.address).connect(t)
		sent := make([]byte, 8<<20)
		for i := range sent {
			sent[i] = byte(i ^ i>>8 ^ i>>16)
		}
		written := make(chan error, 1)
		go func() { _, err := device.Write(sent); written <- err }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(device.lines, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("not what was sent: %v", err)
		}
		if err := within(t, "all writes", written); err != nil {
			t.Error(err)
		}
	})
}

func TestGatewayServesAThousandConnections(t *testing.T) {
	services(t, func(t *testing.T, service, adapter string) {
		h := serve(t, scripted{}, exproto.WithAdapter(adapter))
		devices(t, startGateway(t, service, adapter, h.address), 1000, 10, func(int) {})
	})
}
