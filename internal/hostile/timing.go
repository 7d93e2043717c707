package hostile

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Question is what an attacker asks again and again to learn from how long the answer
// takes what it does not say.
type Question struct {
	Name string
	// Cases are what is asked about; none may be told from the first by the time.
	Cases []Case
}

// Case is one kind of thing that is asked about. Its answer must be Answer.
type Case struct {
	Name, Answer string
	// Differs: its answer is another one anyway, so that the time tells nothing new.
	Differs bool

	guesses bool // that are limited for each address
	shots   func() []byte
}

// Comparison is how long answers took of a case and of the first case of its question.
type Comparison struct {
	Question string
	Case, To Case
	Samples  int
	// Median and ToMedian are of each; the machine's, the network's and HTTP's share in
	// them is alike.
	Median, ToMedian time.Duration
	// Wins is how often the case took longer, of all pairs: 0.5 if they cannot be told
	// apart, 1 if one look is enough. It is Mann's and Whitney's U over the number of
	// pairs; Z is its distance from 0.5 in standard deviations, by chance within 4.
	Wins, Z float64
}

// compare makes a comparison of times; ties count half.
func compare(times, to []time.Duration) Comparison {
	type sample struct {
		took time.Duration
		mine bool
	}
	all := make([]sample, 0, len(times)+len(to))
	for _, t := range times {
		all = append(all, sample{t, true})
	}
	for _, t := range to {
		all = append(all, sample{t, false})
	}
	slices.SortFunc(all, func(a, b sample) int { return cmp.Compare(a.took, b.took) })
	var ranks, ties float64
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].took == all[i].took {
			j++
		}
		for _, s := range all[i:j] {
			if s.mine {
				ranks += float64(i+j+1) / 2 // the mean of i+1 to j
			}
		}
		ties += math.Pow(float64(j-i), 3) - float64(j-i)
		i = j
	}
	n, m := float64(len(times)), float64(len(to))
	u := ranks - n*(n+1)/2
	deviation := math.Sqrt(n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1))))
	c := Comparison{Samples: len(times), Median: median(times), ToMedian: median(to), Wins: u / (n * m)}
	if deviation > 0 {
		c.Z = (u - n*m/2) / deviation
	}
	return c
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// people is how many there are of each kind: who are asked about in turn, so that none is
// told apart by where its rows happen to lie.
const people = 16

// Questions makes people and requests of all kinds known and gives what can be asked
// about them. It takes some seconds.
func (v *Victim) Questions(ctx context.Context) ([]Question, error) {
	client := v.client()
	defer client.CloseIdleConnections()
	if err := v.define(ctx, client, "short", `,"token_lifetime":"1s"`); err != nil {
		return nil, err
	}
	tokens, manage := map[string][]string{}, map[string][]string{}
	for _, kind := range []string{"pending", "erasing", "locking", "expired"} {
		for n := range people {
			one, more, err := v.known(ctx, client, kind, mail(kind, n))
			if err != nil {
				return nil, err
			}
			tokens[kind], manage[kind] = append(tokens[kind], one), append(manage[kind], more)
		}
	}
	revoked, err := v.makeKey(ctx, "apikey", "add", "--role", "app", "--name", "revoked")
	if err != nil {
		return nil, err
	}
	if _, err := v.run(ctx, "apikey", "revoke", "--name", "revoked"); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // until the tokens have expired, and the server knows of the keys
	check := func(key, kind string) func() []byte {
		return func() []byte {
			return v.question(key, "CheckConsent", fmt.Sprintf(`{"subject":{"email":%q},"purpose":"newsletter","channel":"email"}`, mail(kind, rand.IntN(people))))
		}
	}
	token := func(method, field string, of []string) func() []byte {
		return func() []byte {
			t := random()
			if of != nil {
				t = of[rand.IntN(len(of))]
			}
			return v.question(v.Keys["app"], method, fmt.Sprintf(`{%q:%q}`, field, t))
		}
	}
	app := v.Keys["app"]
	return []Question{
		{"API keys", []Case{
			{"unknown", "401", false, true, func() []byte { return check("clk_"+random(), "nobody")() }},
			{"revoked", "401", false, true, check(revoked, "nobody")},
			{"another role's", "403", true, false, check(v.Keys["auditor"], "nobody")},
			{"one that works", "200 unknown_subject", true, false, check(app, "nobody")},
		}},
		{"CheckConsent", []Case{
			{"a stranger", "200 unknown_subject", false, false, check(app, "nobody")},
			{"erased", "200 unknown_subject", false, false, check(app, "erasing")},
			{"locked", "200 unknown_subject", false, false, check(app, "locking")},
			{"known", "200 pending", true, false, check(app, "pending")},
		}},
		{"ConfirmConsent", []Case{
			{"an unknown token", "404", false, true, token("ConfirmConsent", "token", nil)},
			{"of somebody erased", "404", false, true, token("ConfirmConsent", "token", tokens["erasing"])},
			{"expired", "400", true, false, token("ConfirmConsent", "token", tokens["expired"])},
		}},
		{"WithdrawConsent", []Case{
			{"an unknown manage token", "404", false, true, token("WithdrawConsent", "manage_token", nil)},
			{"of somebody erased", "404", false, true, token("WithdrawConsent", "manage_token", manage["erasing"])},
			{"of somebody locked", "404", false, true, token("WithdrawConsent", "manage_token", manage["locking"])},
		}},
	}, nil
}

// known makes somebody known, and what the kind says, and gives the tokens.
func (v *Victim) known(ctx context.Context, client *http.Client, kind, email string) (token, manage string, err error) {
	purpose := "newsletter"
	if kind == "expired" {
		purpose = "short"
	}
	text, err := v.call(ctx, client, "shop", appPath+"RequestConsent", consentRequest(email, purpose))
	if err != nil {
		return "", "", err
	}
	var said struct {
		Token  string
		Manage string `json:"manage_token"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return "", "", err
	}
	mode := map[string]string{"erasing": "shred_now", "locking": "lock_then_shred"}[kind]
	if mode == "lock_then_shred" { // of an open request nothing is kept
		_, err = v.call(ctx, client, "shop", appPath+"ConfirmConsent", fmt.Sprintf(`{"token":%q}`, said.Token))
	}
	if mode != "" && err == nil {
		_, err = v.call(ctx, client, "shop", appPath+"EraseSubject", fmt.Sprintf(`{"subject":{"email":%q},"reason":"art17","mode":%q}`, email, mode))
	}
	return said.Token, said.Manage, err
}

// mail is an address; all are of one length.
func mail(kind string, n int) string {
	return fmt.Sprintf("guest.%07s.%03d@example.org", kind, n)
}

// question is a call as bytes, over a connection that stays.
func (v *Victim) question(key, method, body string) []byte {
	return fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n%s",
		appPath, method, v.addr, len(body), key, body)
}

// Time asks each case of a question so many times, in an order drawn anew for each round,
// and compares. A wrong answer is an error.
func (v *Victim) Time(ctx context.Context, q Question, samples int) ([]Comparison, error) {
	times := make([][]time.Duration, len(q.Cases))
	a := &assault{Victim: v, answers: map[string]int{}}
	var conn net.Conn
	var in *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	guessed := mayGuess
	for range samples {
		if guessed >= mayGuess-2*len(q.Cases) { // another address may guess again
			if conn != nil {
				conn.Close()
			}
			a.from, guessed = v.newAddress(), 0
			var err error
			if conn, err = a.dial(ctx, "http/1.1"); err != nil {
				return nil, err
			}
			in = bufio.NewReader(conn)
			if _, _, err := timed(conn, in, v.question(v.Keys["app"], "CheckConsent", `{}`)); err != nil { // the first over a connection takes longer
				return nil, err
			}
		}
		for _, i := range rand.Perm(len(q.Cases)) {
			c := q.Cases[i]
			took, answer, err := timed(conn, in, c.shots())
			if err != nil {
				return nil, err
			}
			if answer != c.Answer {
				return nil, fmt.Errorf("%s, %s: the answer was %s, want %s", q.Name, c.Name, answer, c.Answer)
			}
			times[i] = append(times[i], took)
			if c.guesses {
				guessed++
			}
		}
	}
	var list []Comparison
	for i, c := range q.Cases[1:] {
		one := compare(times[i+1], times[0])
		one.Question, one.Case, one.To = q.Name, c, q.Cases[0]
		list = append(list, one)
	}
	return list, nil
}

// timed sends a request and says how long it took to the first byte of its answer, and
// what that was: its status, and the reason of a check.
func timed(conn net.Conn, in *bufio.Reader, request []byte) (took time.Duration, answer string, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, "", err
	}
	begin := time.Now()
	if _, err := conn.Write(request); err != nil {
		return 0, "", err
	}
	if _, err := in.Peek(1); err != nil {
		return 0, "", err
	}
	took = time.Since(begin)
	rsp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, "", err
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	answer = fmt.Sprint(rsp.StatusCode)
	if _, reason, ok := strings.Cut(string(body), `"reason":"`); ok {
		reason, _, _ = strings.Cut(reason, `"`)
		answer += " " + reason
	}
	return took, answer, err
}
