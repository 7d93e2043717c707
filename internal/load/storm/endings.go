package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// Ending says how a server is ended, again and again.
type Ending struct {
	// Launch starts the server; it need not be ready yet.
	Launch func() (*Server, error)

	// Times is how often it is ended. Every fourth time is special, see Term.
	Times int

	// Term ends it with SIGTERM, which must give exit code 0, and not with SIGKILL.
	// Every fourth server is killed again while it starts; with Term, every fourth is
	// started while the one before it still drains.
	Term bool

	// Clients is how many post meanwhile.
	Clients int

	// After, if not nil, is called after every ending, when the next server is ready
	// and the clients are at rest. The first is 0.
	After func(ctx context.Context, n int, url string) error
}

// Endings has clients post to a server that is ended at random moments and started
// again. It gives back the last server, with the clients ended, and has looked at the
// log of every server. An error ends it, a wrong answer among them.
func (s *Storm) Endings(ctx context.Context, e Ending) (*Server, error) {
	server, err := s.launch(e)
	if err != nil {
		return nil, err
	}
	s.Begin(ctx, e.Clients)
	for n := range e.Times {
		if server, err = s.next(ctx, e, n, server); err != nil {
			return server, fmt.Errorf("ending %d: %w", n+1, err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	s.End()
	return server, s.Failed()
}

// next ends a server and starts the next one.
func (s *Storm) next(ctx context.Context, e Ending, n int, server *Server) (*Server, error) {
	end := s.kill
	if e.Term {
		end = s.term
	}
	next, err := end(e, n, server)
	if err != nil {
		return next, err
	}
	if err := server.Log.Check(); err != nil {
		return next, err
	}
	if e.After != nil {
		resume := s.Rest()
		err = e.After(ctx, n, next.URL)
		resume()
	}
	if failed := s.Failed(); failed != nil {
		err = failed
	}
	if err == nil {
		err = ctx.Err()
	}
	return next, err
}

// kill kills a server with SIGKILL, the fourth again while it starts, before or after it
// is ready.
func (s *Storm) kill(e Ending, n int, server *Server) (*Server, error) {
	if n%4 != 3 {
		time.Sleep(time.Duration(20+rand.IntN(600)) * time.Millisecond)
		server.Kill()
		return s.launch(e)
	}
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	server.Kill()
	early, err := e.Launch()
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	early.Kill()
	if err := early.Log.Check(); err != nil {
		return nil, err
	}
	return s.launch(e)
}

// term ends a server with SIGTERM; beside the fourth the next one is started too early,
// and must refuse until it is not.
func (s *Storm) term(e Ending, n int, server *Server) (*Server, error) {
	time.Sleep(time.Duration(200+rand.IntN(600)) * time.Millisecond)
	begin := time.Now()
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, err
	}
	if n%4 == 3 {
		early, err := e.Launch()
		if err != nil {
			return nil, err
		}
		if early.Ready() == nil { // the one before has ended
			s.At(early.URL)
			return early, server.Ended()
		}
		if log := early.Log.String(); !strings.Contains(log, inUse) {
			return nil, fmt.Errorf("a server that was started beside another one does not say that the ledger is in use:\n%s", log)
		}
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
	}
	if err := server.Ended(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.drains = append(s.drains, time.Since(begin))
	s.mu.Unlock()
	return s.launch(e)
}

// inUse is what a server says of a ledger that another process has open.
const inUse = "in use"

// launch starts a server and, when it is ready, tells the clients where it is.
func (s *Storm) launch(e Ending) (*Server, error) {
	begin := time.Now()
	server, err := e.Launch()
	if err != nil {
		return nil, err
	}
	if err := server.Ready(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.starts = append(s.starts, time.Since(begin))
	s.mu.Unlock()
	s.At(server.URL)
	return server, nil
}
