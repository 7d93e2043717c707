package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Killing says how to kill a server.
type Killing struct {
	// Launch starts the server; it need not be ready yet.
	Launch func() (*Server, error)

	// Kills is how often. Every fourth is while the server starts.
	Kills int

	// Clients is how many post meanwhile.
	Clients int

	// After, if not nil, is called after every kill, when the next server is ready
	// and the clients are at rest.
	After func(ctx context.Context, kill int, url string) error
}

// Kills has clients post to a server that is killed with SIGKILL at random moments and
// started again. It gives back the last server, with the clients ended, and every
// server's log checked. An error ends it, a wrong answer among them.
func (s *Storm) Kills(ctx context.Context, k Killing) (*Server, error) {
	server, err := s.launch(k)
	if err != nil {
		return nil, err
	}
	s.Begin(ctx, k.Clients)
	for n := range k.Kills {
		if n%4 == 3 { // while it starts, before or after it is ready
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			server.Kill()
			if server, err = k.Launch(); err != nil {
				return nil, err
			}
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		} else {
			time.Sleep(time.Duration(20+rand.IntN(600)) * time.Millisecond)
		}
		server.Kill()
		if err := server.Log.Check(); err != nil {
			return nil, err
		}
		if server, err = s.launch(k); err == nil && k.After != nil {
			resume := s.Rest()
			err = k.After(ctx, n, server.URL)
			resume()
		}
		if failed := s.Failed(); failed != nil {
			err = failed
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return server, fmt.Errorf("after kill %d: %w", n+1, err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	s.End()
	return server, s.Failed()
}

// launch starts a server and, when it is ready, tells the clients where it is.
func (s *Storm) launch(k Killing) (*Server, error) {
	server, err := k.Launch()
	if err != nil {
		return nil, err
	}
	if err := server.Ready(); err != nil {
		return nil, err
	}
	s.At(server.URL)
	return server, nil
}
