package calls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/consentledger/consentledger/internal/api/codec"
	"github.com/consentledger/consentledger/internal/refusal"
)

// What of a stream may wait to be answered. Whoever sends more waits, too.
const (
	maxWaiting      = 1000
	maxWaitingBytes = 16 << 20
)

// Hold keeps the answers of a stream back, on their way to the caller, while more of them
// follow at once. It belongs to the goroutine that sends them.
type Hold struct{ On bool }

type holdKey struct{}

// WithHold gives the context of a stream whose server heeds h.
func WithHold(ctx context.Context, h *Hold) context.Context {
	return context.WithValue(ctx, holdKey{}, h)
}

func holdOf(ctx context.Context) *Hold {
	if h, ok := ctx.Value(holdKey{}).(*Hold); ok {
		return h
	}
	return new(Hold) // that nobody heeds
}

// Item is one message of a stream or a batch.
type Item[Req any] struct {
	// Path says where it stands, such as "items[17]".
	Path string
	// Message is nil when Err is not.
	Message *Req
	// Err says why the message cannot be read, a *[refusal.Error].
	Err error
}

// Items gives the messages of a batch under the name of their list.
func Items[Req any](list string, messages []*Req) []Item[Req] {
	items := make([]Item[Req], len(messages))
	for i, m := range messages {
		items[i] = Item[Req]{Path: path(list, i), Message: m}
	}
	return items
}

func path(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// Answer answers every message of a stream with one, in the order in which they
// came, until the caller has said all. The messages are counted from 0 under the
// name list.
//
// What comes while answer is at work is answered together, and sent together, so that a
// caller who does not wait for each answer is served like one who sends batches; answer
// gives as many answers as it got items, and its error ends the stream. So does the
// caller's deadline, and a pause of the caller that is too long for the server.
//
// Limits: a stream holds up to 16 MiB of messages that wait, as much again that is
// being answered, and one message more.
func Answer[Req, Res any](ctx context.Context, stream *connect.BidiStream[Req, Res], list string,
	answer func(context.Context, []Item[Req]) ([]*Res, error)) error {
	hold := holdOf(ctx)
	in := newInbox[Req]()
	defer context.AfterFunc(ctx, in.wake)()
	defer in.leave()
	// It ends at the latest when Connect closes the request's body, which it does
	// after this returns.
	go in.fill(list, stream.Receive)
	for {
		items, err := in.take(ctx)
		if err != nil {
			return endOf(err)
		}
		answers, err := answer(ctx, items)
		if err != nil {
			return err
		}
		for i, a := range answers {
			hold.On = i < len(answers)-1
			if err := stream.Send(a); err != nil {
				return err
			}
		}
	}
}

// endOf says why a stream has ended; nil when the caller has said all.
func endOf(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("nothing came for too long; what came is answered"))
	}
	return err
}

// inbox is what has come of a stream and is not answered yet: one goroutine fills
// it, another one empties it.
type inbox[Req any] struct {
	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	items   []Item[Req]
	bytes   int   // of the messages in items
	end     error // why nothing more comes; io.EOF when the caller has said all
	left    bool  // nobody takes anything any more
}

func newInbox[Req any]() *inbox[Req] {
	in := new(inbox[Req])
	in.changed = sync.NewCond(&in.mu)
	return in
}

// fill receives until the stream ends or nobody takes what came.
func (in *inbox[Req]) fill(list string, receive func() (*Req, error)) {
	for n := 0; in.hasRoom(); n++ {
		message, err := receive()
		item := Item[Req]{Path: path(list, n), Message: message}
		var wrong *codec.Error
		if errors.As(err, &wrong) {
			// The next message begins where this one ends all the same.
			item.Message, item.Err, err = nil, refusal.Invalid(wrong.Path, "%s", wrong.Reason), nil
		}
		if !in.put(item, err) {
			return
		}
	}
}

// hasRoom waits until there is room for one more message. It says no when there
// will never be.
func (in *inbox[Req]) hasRoom() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.left && (len(in.items) >= maxWaiting || in.bytes >= maxWaitingBytes) {
		in.changed.Wait()
	}
	return !in.left
}

// put adds an item, or notes that the stream has ended. It says whether to go on.
func (in *inbox[Req]) put(item Item[Req], end error) bool {
	size := 0
	if m, ok := any(item.Message).(proto.Message); ok && item.Message != nil {
		size = proto.Size(m)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	defer in.changed.Broadcast()
	if in.end = end; end != nil {
		return false
	}
	in.items = append(in.items, item)
	in.bytes += size
	return true
}

// take waits for something and gives all there is.
func (in *inbox[Req]) take(ctx context.Context) ([]Item[Req], error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.items) == 0 && in.end == nil && ctx.Err() == nil {
		in.changed.Wait()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(in.items) == 0 {
		return nil, in.end
	}
	items := in.items
	in.items, in.bytes = nil, 0
	in.changed.Broadcast()
	return items, nil
}

// wake lets those who wait look again.
func (in *inbox[Req]) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.changed.Broadcast()
}

func (in *inbox[Req]) leave() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.left = true
	in.changed.Broadcast()
}
