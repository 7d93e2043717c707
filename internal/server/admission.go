package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
)

// Places says how many calls are answered at once; beyond them calls wait for 50 ms
// at most and are then refused. No key has more than three quarters of any. 0 stands
// for the default, and at most 100,000 may be asked for.
type Places struct {
	App     int // calls of the ConsentService. Default 512.
	Auditor int // small calls of the AuditService. Default 64.
	Legal   int // small calls of the EvidenceService. Default 64.
	Admin   int // calls of the AdminService. Default 16.
	Log     int // the log as files; everybody without a key is one. Default 128.
	Listing int // auditors' large answers: entries, bundles of them. Default 8.
	Export  int // proof bundles and access reports. Default 4.
	Stream  int // streams of the ConsentService. Default 64.
	All     int // all of them but streams together. Default 512.
}

// The limits of what waits before it is answered.
const (
	patience = 50 * time.Millisecond // that a call waits for a place

	smallBody    = 64 << 10 // a body up to there is a small one
	answerCopies = 3        // of a file in an answer: as it grows, and as it is encoded
	maxGzip      = 1032     // how much longer than sent a body can be when it is unpacked
)

// admission lets calls in as long as there is room. A call takes its place when its
// body is there, so that whoever sends slowly holds none; the body lies in memory
// until then, of which there is so much, too.
type admission struct {
	opts         *Options
	places       map[work]*pool
	all          *pool
	small, large *pool // bytes of bodies
	answers      *pool // bytes of answers that are files
	errors       *connect.ErrorWriter
}

func newAdmission(opts *Options) (*admission, error) {
	memory := cmp.Or(opts.Memory, 1<<30)
	a := &admission{
		opts:    opts,
		places:  make(map[work]*pool),
		small:   newPool(memory / 16),
		large:   newPool(max(memory/8, 2*opts.MaxBodyBytes)),
		answers: newPool(memory / 4),
		errors:  connect.NewErrorWriter(),
	}
	p := &opts.Places
	for _, of := range []struct {
		work work
		n    int
		or   int
	}{
		{workApp, p.App, 512}, {workAuditor, p.Auditor, 64}, {workLegal, p.Legal, 64}, {workAdmin, p.Admin, 16}, {workLog, p.Log, 128},
		{workListing, p.Listing, 8}, {workExport, p.Export, 4}, {workStream, p.Stream, 64}, {"", p.All, 512},
	} {
		if of.n < 0 || of.n > 100_000 {
			return nil, errors.New("server: places must be 0 to 100,000")
		}
		if of.n == 0 {
			of.n = of.or
		}
		a.places[of.work] = newPool(int64(of.n))
	}
	a.all = a.places[""]
	delete(a.places, "")
	return a, nil
}

// middleware stands inside of the keys: strangers come no further than them.
func (a *admission) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, ok := methodAt(r.URL.Path)
		if !ok { // the keys let nobody come here
			http.NotFound(w, r)
			return
		}
		id, _ := authn.FromContext(r.Context())
		if m.work != workStream && m.work != workLog { // the log is read, without a body
			body, err := a.receive(r, id.Name)
			defer body.release()
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			r = body.of(r)
		}
		leave, ok := a.enter(r.Context(), m.work, id.Name)
		if !ok {
			a.refuse(w, r, errBusy)
			return
		}
		defer leave()
		ctx, cancel := context.WithTimeout(r.Context(), m.deadline)
		defer cancel()
		held := int64(0) // of the room for answers
		defer func() {
			if held > 0 {
				a.answers.give(id.Name, held)
			}
		}()
		r = r.WithContext(calls.WithRoom(ctx, func(bytes int64) bool {
			ok := a.answers.take(id.Name, answerCopies*bytes)
			if ok {
				held += answerCopies * bytes
			}
			return ok
		}))
		if m.work == workStream {
			(&unanswered{ctx: ctx, admission: a, key: id.Name}).serve(next, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// What there is no room for may be tried again.
var (
	errBusy   = errors.New("the server is busy; try again a little later")
	errMemory = errors.New("the server is receiving as much as it has room for; try again a little later")
)

// enter takes a place among the work of its kind, and one of all.
func (a *admission) enter(ctx context.Context, kind work, key string) (leave func(), ok bool) {
	begin, mine := time.Now(), a.places[kind]
	if !mine.enter(ctx, key, patience) {
		return nil, false
	}
	if kind == workStream {
		return func() { mine.give(key, 1) }, true
	}
	if !a.all.enter(ctx, key, patience-time.Since(begin)) {
		mine.give(key, 1)
		return nil, false
	}
	return func() { a.all.give(key, 1); mine.give(key, 1) }, true
}

// refuse answers that there is no room, or what else is wrong with a body. What may
// be tried again says when: in seconds for HTTP, in milliseconds for gRPC.
func (a *admission) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if err == errBusy || err == errMemory {
		after := 1
		if m, _ := methodAt(r.URL.Path); m.work == workExport || m.work == workListing {
			after = 5 // they take long
		}
		w.Header().Set("Retry-After", strconv.Itoa(after))
		said := connect.NewError(connect.CodeResourceExhausted, err)
		said.Meta().Set("Grpc-Retry-Pushback-Ms", strconv.Itoa(1000*after))
		err = said
	}
	// Nothing can be done about a caller who has gone.
	_ = a.errors.Write(w, r, err)
}
