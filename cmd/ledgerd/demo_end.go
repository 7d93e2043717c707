package main

import (
	"fmt"
	"strings"
)

// goOn says what to look at and what to type. Everything works as printed.
func (s *story) goOn() {
	s.page.act("All of it held. Look around")
	s.page.print("   %s\n\n", s.dir)
	for _, row := range [][2]string{
		{"export/tile/entries/", "the whole history as text: cat export/tile/entries/000.p/*"},
		{"export/checkpoint", "the log's size and root hash with both signatures"},
		{"export/notices/", "the words that people read, under their SHA-256"},
		{"tampered/", "the forged copy"},
		{accessFile, "what Anna was given: everything that is held about her"},
		{bundleFile, "what the court was given: one file; unzip it and open docs/report.en.pdf"},
		{"erasure-receipt.txt", "what Berta was given: proof that she was erased, without her name"},
		{"trust.policy", "the public keys that the auditor trusts"},
		{"server.log", "what the server logged: who called what, nothing about whom"},
		{"data/", "the ledger itself: log, vault, keys"},
	} {
		s.page.print("   %-22s %s\n", row[0], row[1])
	}
	s.page.act("Try it yourself")
	s.page.print("   Serve this ledger again, until Ctrl-C:\n\n")
	s.page.print("       %s serve --data %s --listen %s\n\n", programName(), shellQuote(s.path("data")), s.address)
	s.page.print("   Then, in another terminal: may the shop write to Anna, what is known about her, and is the log that is served sound?\n\n")
	subject := fmt.Sprintf(`"subject":{"email":"%s"}`, anna)
	s.page.print("       %s\n\n", s.curl("CheckConsent", "{"+subject+`,"purpose":"newsletter","channel":"email"}`))
	s.page.print("       %s\n\n", s.curl("ListConsents", "{"+subject+"}"))
	s.page.print("       LEDGERD_KEY=%s %s log http://%s/log --policy %s\n", s.keys.auditor, shellQuote(s.verifier), s.address, shellQuote(s.path("trust.policy")))
}

// curl gives a line that a shell understands.
func (s *story) curl(method, body string) string {
	return strings.Join([]string{"curl -sS", "http://" + s.address + appService + method,
		"-H 'Authorization: Bearer " + s.keys.shop + "'", "-H 'Content-Type: application/json'", "-d " + shellQuote(body)}, " ")
}
