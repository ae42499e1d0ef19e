package exproto_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The gateway that EXPROTO_GATEWAY names, as a process. Without that variable the tests with it are left out.

const gatewayEnvironment = "EXPROTO_GATEWAY"

// gateway is one that runs.
type gateway struct {
	device string // where devices connect
}

// free is a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// startGateway starts it for these handlers, and waits until it serves.
func startGateway(t *testing.T, service, adapter string, handlers ...string) *gateway {
	t.Helper()
	program := os.Getenv(gatewayEnvironment)
	if program == "" {
		t.Skip(gatewayEnvironment + " names no gateway")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%s: %v", gatewayEnvironment, err)
	}
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	addresses := `"http://` + strings.Join(handlers, `", "http://`) + `"`
	text := fmt.Sprintf(`
listeners: [{name: tcp, transport: tcp, bind: "127.0.0.1:0", limits: {max_connections: 2000}}]
handler: {service: %s, addresses: [%s], backoff_min: 10ms, backoff_max: 100ms}
adapter: {bind: %q}
http: {bind: "127.0.0.1:0"}
`, service, addresses, adapter)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := start(t, exec.Command(program, "run", "--config", config))
	serving := regexp.MustCompile(`"serving".*\\"tcp\\": ([0-9.:]+)`)
	return &gateway{device: log.await(serving)}
}

// process is one that ends with the test. What it says is shown if the test fails.
type process struct {
	t       *testing.T
	command *exec.Cmd
	mu      sync.Mutex
	lines   []string
	changed chan struct{}
	ended   chan struct{} // closed when it has ended and all that it said was read
	result  error         // how it has ended
}

func start(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, command: command, changed: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		p.result = command.Wait()
		writer.Close()
	}()
	go p.listen(reader)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s said:\n%s", filepath.Base(command.Path), strings.Join(p.lines[max(0, len(p.lines)-40):], "\n"))
		}
	})
	return p
}

// kill is SIGKILL, and waits for its end.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// terminate is SIGTERM, and waits for its end.
func (p *process) terminate() error {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	<-p.ended
	return p.result
}

func (p *process) listen(reader io.Reader) {
	scanner := bufio.NewScanner(reader)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	close(p.ended)
}

// await waits for a line, and gives what its first group holds.
func (p *process) await(line *regexp.Regexp) string {
	p.t.Helper()
	timeout := time.After(deadline)
	for seen := 0; ; {
		p.mu.Lock()
		changed := p.changed
		for ; seen < len(p.lines); seen++ {
			if match := line.FindStringSubmatch(p.lines[seen]); match != nil {
				p.mu.Unlock()
				return match[len(match)-1]
			}
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.ended:
			p.t.Fatalf("%s has ended", p.command.Path)
		case <-timeout:
			p.t.Fatalf("%s did not say %s", p.command.Path, line)
		}
	}
}

// socket is a device's.
type socket struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func (g *gateway) connect(t *testing.T) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", g.device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * deadline))
	return &socket{t, conn, bufio.NewReader(conn)}
}

// says writes a line.
func (s *socket) says(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// hears reads a line, which is to be this one.
func (s *socket) hears(want string) {
	s.t.Helper()
	got, err := s.lines.ReadString('\n')
	if err != nil || strings.TrimSuffix(got, "\n") != want {
		s.t.Fatalf("heard %q instead of %q: %v", got, want, err)
	}
}

// echoes writes so many numbered lines, and reads them back; on each one read it calls back.
func (s *socket) echoes(count int, read func(line int)) error {
	written := make(chan error, 1)
	go func() {
		writer := bufio.NewWriterSize(s, 200)
		for i := range count {
			fmt.Fprintf(writer, "line %d\n", i)
		}
		written <- writer.Flush()
	}()
	for i := range count {
		got, err := s.lines.ReadString('\n')
		if want := fmt.Sprintf("line %d\n", i); err != nil || got != want {
			return fmt.Errorf("heard %q instead of %q: %w", got, want, err)
		}
		read(i)
	}
	return <-written
}

// cutter forwards connections, and cuts each after so many bytes.
type cutter struct {
	address string
	mu      sync.Mutex
	cuts    int
}

// startCutter forwards to target; it cuts count connections, each after up to limit bytes, and no more.
func startCutter(t *testing.T, target string, count int, limit int64) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	c := &cutter{address: listener.Addr().String()}
	random := rand.New(rand.NewPCG(3, 4))
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				from.Close()
				continue
			}
			in, out := int64(1<<60), int64(1<<60)
			c.mu.Lock()
			if c.cuts < count {
				c.cuts++
				if limits := []*int64{&in, &out}; true {
					*limits[random.IntN(2)] = 1 + random.Int64N(limit)
				}
			}
			c.mu.Unlock()
			go forward(from, to, in)
			go forward(to, from, out)
		}
	}()
	return c
}

// cutSoFar is how many connections were, or will be, cut.
func (c *cutter) cutSoFar() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

// forward passes on so many bytes, and then closes both.
func forward(from, to net.Conn, limit int64) {
	_, _ = io.CopyN(to, from, limit)
	from.Close()
	to.Close()
}
