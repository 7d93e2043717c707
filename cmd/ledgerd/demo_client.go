package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Services as they stand in URLs.
const (
	appService      = "/consent.app.v1.ConsentService/"
	adminService    = "/consent.admin.v1.AdminService/"
	evidenceService = "/consent.evidence.v1.EvidenceService/"
)

// fields is a JSON object that is sent.
type fields map[string]any

// answer is what the story reads from the services' answers; each answer has
// some of it. 64-bit numbers are strings in this JSON.
type answer struct {
	status int // HTTP's

	Code    string `json:"code"` // of a refusal
	Message string `json:"message"`

	Notice  string   `json:"notice"`
	Missing []string `json:"missing"`

	Consents         []demoConsent `json:"consents"`
	Withdrawn        []demoConsent `json:"withdrawn"`
	Token            string        `json:"token"`
	AlreadyConfirmed bool          `json:"already_confirmed"`
	SinceSent        string        `json:"since_sent"`
	Entry            demoEntry     `json:"entry"`
	Entries          []recorded    `json:"entries"`
	Irregular        []any         `json:"irregular"`

	Allowed            bool      `json:"allowed"`
	Reason             string    `json:"reason"`
	Grade              string    `json:"grade"`
	ExpiresAt          time.Time `json:"expires_at"`
	AllowedThen        bool      `json:"allowed_then"`
	AllowedInHindsight bool      `json:"allowed_in_hindsight"`

	Disclosures []disclosure `json:"disclosures"`

	Shredded       demoEntry `json:"shredded"`
	ConsentsErased string    `json:"consents_erased"`
	ErasureReceipt string    `json:"erasure_receipt"`
}

type demoConsent struct {
	ConsentID string    `json:"consent_id"`
	State     string    `json:"state"`
	Grade     string    `json:"grade"`
	Entry     demoEntry `json:"entry"`
}

type demoEntry struct {
	Index string `json:"index"`
	Text  string `json:"text"`
}

// recorded is an entry, or one of a consent's history.
type recorded struct {
	demoEntry
	Entry  demoEntry `json:"entry"`
	Kind   string    `json:"kind"`
	Claims []struct {
		Claim  string `json:"claim"`
		Masked string `json:"masked"`
	} `json:"claims"`
}

// masked says which claims there are, and what of them may be seen by anybody.
func (r *recorded) masked() string {
	var list []string
	for _, c := range r.Claims {
		list = append(list, strings.TrimSpace(c.Claim+" "+c.Masked))
	}
	return strings.Join(list, ", ")
}

type disclosure struct {
	Index string `json:"index"`
	Text  string `json:"text"`
	Bytes []byte `json:"bytes"`
}

// client posts JSON as any web application could.
type client struct {
	ctx  context.Context
	base string
}

var demoHTTP = &http.Client{Timeout: 30 * time.Second}

// send posts a request and reads the answer into what into points at.
func (c client) send(key, method string, request fields, into any) (status int, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.base+method, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := demoHTTP.Do(req)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", method, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return 0, fmt.Errorf("%s answered %s, which is not as expected: %w", method, resp.Status, err)
	}
	return resp.StatusCode, nil
}

func (c client) post(key, method string, request fields) (*answer, error) {
	a := new(answer)
	status, err := c.send(key, method, request, a)
	if err != nil {
		return nil, err
	}
	a.status = status
	return a, nil
}

// must posts what has to be accepted.
func (c client) must(key, method string, request fields) (*answer, error) {
	a, err := c.post(key, method, request)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%s: expected 200, got %d %s: %s", method, a.status, a.Code, a.Message)
	}
	return a, err
}
