// Package process builds programs and runs them as children, for what only a process of its own can show: a kill, a
// sibling on the same database, the memory of a server. Tests and the benchmark use it.
package process

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Minidoor is the package path of the server, for Build.
const Minidoor = "github.com/minidoor/minidoor"

// Build compiles the package pkg, as seen from the folder dir (empty: the working directory), into the file target.
func Build(ctx context.Context, dir, pkg, target string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", target, pkg)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

// Config says what to run. Env is the whole environment of the child but for PATH, HOME and TMPDIR, which it gets from
// its parent when Env has none.
type Config struct {
	Binary string
	Args   []string
	Env    map[string]string
	Dir    string // working directory; empty: the parent's
}

// Process is a child that has been started. It is safe for concurrent use.
type Process struct {
	cmd    *exec.Cmd
	output output
	ended  chan struct{} // closed once err is set
	err    error
}

// Start starts a child. It is killed when ctx ends.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	p := &Process{ended: make(chan struct{}), output: output{listening: make(chan struct{})}}
	p.cmd = exec.CommandContext(ctx, cfg.Binary, cfg.Args...)
	p.cmd.Dir = cfg.Dir
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output // one pipe: what is printed keeps its order
	env := map[string]string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		env[name] = os.Getenv(name)
	}
	maps.Copy(env, cfg.Env)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.cmd.Env = append(p.cmd.Env, name+"="+env[name])
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// StartServer starts a minidoor and waits until it listens: on a free loopback port, unless cfg.Env says otherwise.
func StartServer(ctx context.Context, cfg Config) (*Server, error) {
	env := map[string]string{"httpaddr": "127.0.0.1", "httpport": "0"}
	maps.Copy(env, cfg.Env)
	cfg.Env = env
	p, err := Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.output.listening:
		return &Server{Process: p, URL: "http://" + p.output.address}, nil
	case <-p.ended:
		err := cmp.Or(p.err, errors.New("exit status 0"))
		return nil, fmt.Errorf("ended before it listened: %w\n%s", err, p.Output())
	}
}

// Server is a minidoor that listens.
type Server struct {
	*Process

	URL string // without a slash at its end
}

// Healthy reports whether the server says that it is well.
func (s *Server) Healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/health", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", answer.Status)
	}
	return nil
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output returns what the child has printed to stdout and stderr, at most the first 4 MiB. It is complete after Wait.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal. It fails when the child has ended.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Ended is closed when the child has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits until the child ends; the error is nil when its exit status was 0.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Stop asks the child to end, and waits for it.
func (p *Process) Stop() error {
	if err := p.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Wait()
}

// Kill ends the child at once, as a crash does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// output keeps what a child prints, and finds out where it listens.
type output struct {
	mu        sync.Mutex
	text      bytes.Buffer
	listening chan struct{} // closed once address is set
	address   string
}

// maxOutput bounds what is kept of a child that prints a line per request.
const maxOutput = 4 << 20

var listeningLine = regexp.MustCompile(`msg"?[=:]"?listening"?.*\baddress"?[=:]"?([^\s"]+)[\s"]`)

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p[:min(len(p), maxOutput-o.text.Len())])
	if o.address != "" {
		return len(p), nil
	}
	if found := listeningLine.FindSubmatch(o.text.Bytes()); found != nil {
		o.address = string(found[1])
		close(o.listening)
	}
	return len(p), nil
}

// String returns what was kept.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
