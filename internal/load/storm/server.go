package storm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is a ledger's server, or a witness, in a process of its own.
type Server struct {
	URL     string      // where it is, once it is ready
	Log     *Log        // what it wrote to the standard error
	Process *os.Process // the server

	ready chan string   // gets its URL, or is closed without
	more  chan string   // gets the lines after the first one, and is closed at their end
	done  chan struct{} // closed when the process has ended; err is set then
	err   error
}

// readyWithin is how long a server may take to start, and to end after SIGTERM.
const readyWithin = 30 * time.Second

// Launch starts a process that prints "… at URL" when it is ready; see [Server.Ready].
func Launch(program string, args ...string) (*Server, error) {
	s := &Server{Log: new(Log), ready: make(chan string, 1), more: make(chan string, 16), done: make(chan struct{})}
	cmd := exec.Command(program, args...)
	cmd.Stderr = s.Log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.Process = cmd.Process
	go func() {
		defer close(s.done)
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			_, url, _ := strings.Cut(lines.Text(), " at ")
			s.ready <- url
		}
		close(s.ready)
		for lines.Scan() {
			select {
			case s.more <- lines.Text():
			default: // nobody reads that many
			}
		}
		close(s.more)
		s.err = cmd.Wait()
	}()
	return s, nil
}

// LaunchServe starts `ledgerd serve` on a free port of loopback.
func LaunchServe(ledgerd, data string, flags ...string) (*Server, error) {
	return Launch(ledgerd, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, flags...)...)
}

// Serve starts it and waits until it is ready.
func Serve(ledgerd, data string, flags ...string) (*Server, error) {
	s, err := LaunchServe(ledgerd, data, flags...)
	if err != nil {
		return nil, err
	}
	return s, s.Ready()
}

// Ready waits until the server is, at most 30 seconds. It kills one that is not. What
// the server said instead is in the error.
func (s *Server) Ready() error { return s.ReadyWithin(readyWithin) }

// ReadyWithin is Ready with more patience, for a large ledger.
func (s *Server) ReadyWithin(patience time.Duration) error {
	select {
	case url, ok := <-s.ready:
		if !ok {
			<-s.done
			return fmt.Errorf("the server ended: %v\n%s", s.err, s.Log)
		}
		s.URL = url
		return nil
	case <-time.After(patience):
		s.Kill()
		return fmt.Errorf("the server was not ready after %v\n%s", patience, s.Log)
	}
}

// Line gives the next line that the server printed after the one that says where it is;
// "" after one second without.
func (s *Server) Line() string {
	select {
	case line := <-s.more:
		return line
	case <-time.After(time.Second):
		return ""
	}
}

// Stop ends the server as an operator does, and waits for it. An exit code other than
// 0 is an error.
func (s *Server) Stop() error {
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.Ended()
}

// Ended waits until a server that was told to stop has ended, for 30 seconds at most;
// then it is killed. An exit code other than 0 is an error.
func (s *Server) Ended() error {
	select {
	case <-s.done:
	case <-time.After(readyWithin):
		s.Kill()
		return fmt.Errorf("the server was still there %v after SIGTERM\n%s", readyWithin, s.Log)
	}
	if s.err != nil {
		return fmt.Errorf("the server ended: %w\n%s", s.err, s.Log)
	}
	return nil
}

// Kill ends the server without its knowing, and waits for it.
func (s *Server) Kill() {
	_ = s.Process.Kill() // it may have ended already
	<-s.done
}

// Log is what a process writes while others read it.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Check finds out that every whole line is JSON, and that none holds anything of the
// people of a [Storm].
func (l *Log) Check() error {
	for line := range strings.Lines(l.String()) {
		whole := strings.HasSuffix(line, "\n")
		if whole && !json.Valid([]byte(line)) || strings.Contains(line, domain) || strings.Contains(line, address) {
			return fmt.Errorf("logged: %s", line)
		}
	}
	return nil
}
