package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/load/storm"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// soakers are callers of every role who use a ledger as its users do.
type soakers struct {
	url      string
	app      *storm.Caller
	auditor  auditv1connect.AuditServiceClient
	legal    evidencev1connect.EvidenceServiceClient
	admin    adminv1connect.AdminServiceClient
	stranger appv1connect.ConsentServiceClient
	reader   *http.Client // with the auditor's key

	shed    atomic.Int64 // calls that were turned away
	people  atomic.Int64 // who ever asked
	asked   chan known   // who has not confirmed yet
	joined  chan known   // who has, and nobody works on
	clients map[authn.Role]*storm.Caller
}

// known is somebody whom the ledger knows.
type known struct {
	email, token string
	consent      int64
}

// newSoakers makes callers with these keys. Not more people are remembered than the
// channels hold, so that what grows is the server.
func newSoakers(url string, keys map[authn.Role]string) *soakers {
	s := &soakers{url: url, asked: make(chan known, 1024), joined: make(chan known, 4096), clients: map[authn.Role]*storm.Caller{}}
	for role, key := range keys {
		s.clients[role] = storm.NewCaller(key)
		s.clients[role].At(url)
		s.clients[role].HTTP().Timeout = 15 * time.Minute // the longest that the server takes for one of these
	}
	s.app = s.clients[authn.App]
	s.reader = s.clients[authn.Auditor].HTTP()
	s.auditor = auditv1connect.NewAuditServiceClient(s.reader, url)
	s.legal = evidencev1connect.NewEvidenceServiceClient(s.clients[authn.Legal].HTTP(), url)
	s.admin = adminv1connect.NewAdminServiceClient(s.clients[authn.Admin].HTTP(), url)
	stranger := storm.NewCaller("clk_" + rand.Text())
	s.stranger = appv1connect.NewConsentServiceClient(stranger.HTTP(), url)
	return s
}

// soakCall is one way to call.
type soakCall struct {
	name   string
	weight int // how often, of the sum of all
	do     func(context.Context) error
	codes  []connect.Code // of refusals that are to be expected
	always bool           // it is refused
}

// calls is the mix: mostly questions, then what shops record, then what others want to
// know, and what is refused.
func (s *soakers) calls() []soakCall {
	return []soakCall{
		{"check", 400, s.check, nil, false},
		{"batch of 100 checks", 20, s.checkBatch, nil, false},
		{"stream of 100 checks", 5, s.checkStream, nil, false},
		{"request", 120, s.request, nil, false},
		{"mail sent", 60, s.sent, nil, false},
		{"confirm", 80, s.confirm, nil, false},
		{"uses", 60, s.use, nil, false},
		{"list", 40, s.list, nil, false},
		{"receipt", 10, s.receipt, nil, false},
		{"withdraw", 40, s.withdraw, nil, false},
		{"import stream of 10", 5, s.imports, nil, false},
		{"erase", 1, s.erase, nil, false},
		{"checkpoint", 20, s.checkpoint, nil, false},
		{"proof", 20, s.proof, nil, false},
		{"100 entries", 5, s.entries, nil, false},
		{"state", 10, s.state, []connect.Code{connect.CodeFailedPrecondition}, false}, // newer than the newest state.committed
		{"history", 5, s.history, nil, false},
		{"disclose", 5, s.disclose, nil, false},
		{"access report", 2, s.accessReport, nil, false},
		{"bundle", 1, s.bundle, nil, false},
		{"status", 1, s.status, nil, false},
		{"purposes", 10, s.purposes, nil, false},
		{"suppress", 5, s.suppress, nil, false},
		{"unknown key", 2, s.unknownKey, []connect.Code{connect.CodeUnauthenticated, connect.CodeResourceExhausted}, true},
		{"unknown token", 2, s.unknownToken, []connect.Code{connect.CodeNotFound, connect.CodeResourceExhausted}, true},
		{"bad request", 5, s.badRequest, []connect.Code{connect.CodeInvalidArgument}, true},
	}
}

// anybody is some person, perhaps one whom the ledger knows.
func (s *soakers) anybody() *appv1.Subject {
	return storm.Subject(storm.Email(0, int(mathrand.Int64N(s.people.Load()+1))))
}

// with hands somebody who has confirmed to use, and nobody else meanwhile. Without
// anybody there it does what brings people.
func (s *soakers) with(ctx context.Context, use func(known) error) error {
	select {
	case p := <-s.joined:
		err := use(p)
		s.join(p)
		return err
	default:
		return s.confirm(ctx)
	}
}

func (s *soakers) join(p known) {
	select {
	case s.joined <- p:
	default: // enough are remembered
	}
}

func (s *soakers) wire() string { return storm.Wires[mathrand.IntN(len(storm.Wires))] }

func (s *soakers) check(ctx context.Context) error {
	_, err := s.app.Client(s.wire()).CheckConsent(ctx, s.question())
	return err
}

func (s *soakers) question() *appv1.CheckConsentRequest {
	return &appv1.CheckConsentRequest{Subject: s.anybody(), Purpose: "newsletter", Channel: "email"}
}

func (s *soakers) checkBatch(ctx context.Context) error {
	batch := new(appv1.BatchCheckConsentsRequest)
	for range 100 {
		batch.Checks = append(batch.Checks, s.question())
	}
	_, err := s.app.Client(s.wire()).BatchCheckConsents(ctx, batch)
	return err
}

func (s *soakers) checkStream(ctx context.Context) error {
	stream, err := s.app.Client("grpc").CheckConsents(ctx)
	if err != nil {
		return err
	}
	for range 100 {
		if err := stream.Send(s.question()); err != nil {
			return errors.Join(err, stream.CloseResponse())
		}
	}
	return drainStream(stream, func(*appv1.CheckResult) string { return "" })
}

// drainStream reads a stream of which all is said to its end; failed gives what is wrong
// with an item.
func drainStream[Q, R any](stream *connect.BidiStreamForClientSimple[Q, R], failed func(*R) string) error {
	err := stream.CloseRequest()
	for err == nil {
		var item *R
		if item, err = stream.Receive(); err == nil {
			if wrong := failed(item); wrong != "" {
				err = errors.New(wrong)
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, stream.CloseResponse())
}

func (s *soakers) request(ctx context.Context) error {
	email := storm.Email(0, int(s.people.Add(1)))
	resp, err := s.app.Client(s.wire()).RequestConsent(ctx, storm.Request(email, "request of "+email))
	if err != nil {
		return err
	}
	select {
	case s.asked <- known{email, resp.GetToken(), resp.Consents[0].ConsentId}:
	default: // never clicks
	}
	return nil
}

// asking hands somebody who has not confirmed to use; without anybody, somebody asks.
func (s *soakers) asking(ctx context.Context, use func(known) error) error {
	select {
	case p := <-s.asked:
		return use(p)
	default:
		return s.request(ctx)
	}
}

func (s *soakers) sent(ctx context.Context) error {
	return s.asking(ctx, func(p known) error {
		mail := make([]byte, 32)
		_, _ = rand.Read(mail) // never fails
		_, err := s.app.Client(s.wire()).RecordConfirmationSent(ctx, &appv1.RecordConfirmationSentRequest{ConsentIds: []int64{p.consent}, MessageSha256: mail})
		select {
		case s.asked <- p:
		default:
		}
		return err
	})
}

func (s *soakers) confirm(ctx context.Context) error {
	return s.asking(ctx, func(p known) error {
		_, err := s.app.Client(s.wire()).ConfirmConsent(ctx, &appv1.ConfirmConsentRequest{Token: p.token, Click: "button"})
		if err == nil {
			s.join(p)
		}
		return err
	})
}

func (s *soakers) use(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.app.Client(s.wire()).RecordUses(ctx, &appv1.RecordUsesRequest{ConsentIds: []int64{p.consent}, Reference: "campaign 7"})
		return err
	})
}

func (s *soakers) list(ctx context.Context) error {
	_, err := s.app.Client(s.wire()).ListConsents(ctx, &appv1.ListConsentsRequest{Subject: s.anybody()})
	return err
}

func (s *soakers) receipt(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.app.Client(s.wire()).GetConsentReceipt(ctx, &appv1.GetConsentReceiptRequest{ConsentId: p.consent})
		return err
	})
}

func (s *soakers) withdraw(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.app.Client(s.wire()).WithdrawConsent(ctx, &appv1.WithdrawConsentRequest{Subject: storm.Subject(p.email), Method: "one_click"})
		return err
	})
}

func (s *soakers) imports(ctx context.Context) error {
	stream, err := s.app.Client("grpc").ImportConsents(ctx)
	if err != nil {
		return err
	}
	for range 10 {
		if err := stream.Send(&appv1.ImportItem{Subject: storm.Subject(storm.Email(0, int(s.people.Add(1)))), Purpose: "newsletter", Channel: "email",
			Notice: "newsletter-de@1", Method: "web_form", Grade: "E", OccurredAt: timestamppb.New(time.Date(2024, 5, 17, 9, 30, 0, 0, time.UTC))}); err != nil {
			return errors.Join(err, stream.CloseResponse())
		}
	}
	return drainStream(stream, (*appv1.ImportResult).GetError)
}

func (s *soakers) erase(ctx context.Context) error {
	select {
	case p := <-s.joined:
		_, err := s.app.Client("connect").EraseSubject(ctx, &appv1.EraseSubjectRequest{Subject: storm.Subject(p.email), Reason: "art17", Mode: "shred_now"})
		return err
	default:
		return s.confirm(ctx)
	}
}

func (s *soakers) checkpoint(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/log/checkpoint", nil)
	if err != nil {
		return err
	}
	resp, err := s.reader.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/log/checkpoint: %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (s *soakers) proof(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.auditor.GetInclusionProof(ctx, &auditv1.GetInclusionProofRequest{Index: p.consent})
		return err
	})
}

func (s *soakers) entries(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.auditor.BatchListEntries(ctx, &auditv1.BatchListEntriesRequest{Start: p.consent, Limit: 100})
		return err
	})
}

func (s *soakers) state(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.auditor.GetConsentState(ctx, &auditv1.GetConsentStateRequest{ConsentId: p.consent})
		return err
	})
}

func (s *soakers) history(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.legal.GetConsentHistory(ctx, &evidencev1.GetConsentHistoryRequest{ConsentId: p.consent})
		return err
	})
}

func (s *soakers) disclose(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.legal.DiscloseClaims(ctx, &evidencev1.DiscloseClaimsRequest{ConsentId: p.consent, Claims: []string{"ip"}, Reason: "a complaint", Recipient: "the authority"})
		return err
	})
}

func (s *soakers) accessReport(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		if _, err := s.legal.VerifyIdentity(ctx, &evidencev1.VerifyIdentityRequest{Subject: storm.Subject(p.email), Means: "mailbox"}); err != nil {
			return err
		}
		_, err := s.legal.GetAccessReport(ctx, &evidencev1.GetAccessReportRequest{Subject: storm.Subject(p.email), Format: "json", Recipient: "the person"})
		return err
	})
}

func (s *soakers) bundle(ctx context.Context) error {
	return s.with(ctx, func(p known) error {
		_, err := s.legal.GetBundle(ctx, &evidencev1.GetBundleRequest{Subject: storm.Subject(p.email), Recipient: "the court", Reason: "a complaint"})
		return err
	})
}

func (s *soakers) status(ctx context.Context) error {
	_, err := s.admin.GetStatus(ctx, &adminv1.GetStatusRequest{})
	return err
}

func (s *soakers) purposes(ctx context.Context) error {
	_, err := s.admin.ListPurposes(ctx, &adminv1.ListPurposesRequest{})
	return err
}

// suppress adds somebody whom the ledger does not know, and takes them away again.
func (s *soakers) suppress(ctx context.Context) error {
	who := storm.Subject("stranger-" + rand.Text() + "@example.org")
	if _, err := s.admin.AddSuppression(ctx, &adminv1.AddSuppressionRequest{Subject: who, Purpose: "newsletter"}); err != nil {
		return err
	}
	_, err := s.admin.RemoveSuppression(ctx, &adminv1.RemoveSuppressionRequest{Subject: who, Purpose: "newsletter"})
	return err
}

func (s *soakers) unknownKey(ctx context.Context) error {
	_, err := s.stranger.CheckConsent(ctx, s.question())
	return err
}

func (s *soakers) unknownToken(ctx context.Context) error {
	// The lower bits of the last character are no part of a token's 32 bytes.
	_, err := s.app.Client(s.wire()).ConfirmConsent(ctx, &appv1.ConfirmConsentRequest{Token: (rand.Text() + rand.Text())[:42] + "A"})
	return err
}

func (s *soakers) badRequest(ctx context.Context) error {
	_, err := s.app.Client(s.wire()).CheckConsent(ctx, &appv1.CheckConsentRequest{Subject: storm.Subject("no address"), Purpose: "newsletter", Channel: "email"})
	return err
}

// asExpected reports whether an answer is one that was to be expected.
func (c *soakCall) asExpected(err error) bool {
	if err == nil {
		return !c.always
	}
	return slices.Contains(c.codes, connect.CodeOf(err))
}
