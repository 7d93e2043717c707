package ledger

// Grade says how well a consent is proven, from A, the best, to E; 0 for what is
// no consent or was never granted.
type Grade byte

func (g Grade) String() string {
	if g == 0 {
		return ""
	}
	return string(rune(g))
}

// AtLeast reports whether the grade satisfies a minimum. No minimum (0) is
// satisfied by anything, a minimum never by what has no grade.
func (g Grade) AtLeast(minimum Grade) bool { return minimum == 0 || g != 0 && g <= minimum }

// ParseGrade parses a grade; "" is none.
func ParseGrade(s string) (g Grade, ok bool) {
	if s == "" {
		return 0, true
	}
	if !isGrade(s) {
		return 0, false
	}
	return Grade(s[0]), true
}

func isGrade(s string) bool { return len(s) == 1 && 'A' <= s[0] && s[0] <= 'E' }

// Evidence is what the log shows of how a consent came about: which claims the
// entries commit to, never their values. It is a set of bits.
type Evidence uint32

// The bits. Those of a confirmation say what was recorded of the request, of the
// mail and of the click.
const (
	EvForm          Evidence = 1 << iota // consent.requested commits to form_snapshot
	EvTrace                              // … to ip or user_agent
	EvSent                               // confirmation.sent was recorded
	EvMail                               // the mail as sent is kept: `mail kept`, or confirmation.attached
	EvButton                             // consent.confirmed says `click button`
	EvClickTrace                         // … and commits to ip or user_agent
	EvScanner                            // … and to scanner: a machine may have clicked
	EvConfirmed                          // by consent.confirmed
	EvGiven                              // by consent.given or consent.renewed
	EvGivenDocument                      // … which commits to document or recording
	EvGivenForm                          // … to form_snapshot
	EvGivenTrace                         // … to ip or user_agent
	EvImported                           // by consent.imported
	EvImportC                            // … which says `grade C`
	EvImportD                            // … which says `grade D`
	EvChild                              // what opened it says `age child`
	EvGuardian                           // guardian.authorised was recorded
	EvSignalNo                           // the newest signal.received says `no`
)

// has reports whether all bits of o are set.
func (v Evidence) has(o Evidence) bool { return v&o == o }

// Grade gives the grade of a consent. It is the one rule:
//
//	confirmed   A  a button was pressed, nothing tells of a machine, the form as shown was kept,
//	               the mail was recorded and kept as sent, and an address or a browser was
//	               recorded at the request and at the click
//	            B  the same without the mail as sent, or without address and browser
//	            D  signs of a machine, and no button
//	            C  any other click
//	given,      B  a document or a recording was kept
//	renewed     C  the form as shown was kept, and an address or a browser recorded
//	            D  one of the two
//	            E  neither: a claim only
//	imported    C, D or E, as whoever imported it says
//
// Several ways to the same consent give the best of their grades; what giving and
// renewing kept counts together.
func (v Evidence) Grade() Grade {
	var best Grade
	for _, g := range []Grade{v.confirmed(), v.given(), v.imported()} {
		if g != 0 && (best == 0 || g < best) {
			best = g
		}
	}
	return best
}

func (v Evidence) confirmed() Grade {
	switch {
	case !v.has(EvConfirmed):
		return 0
	case v.has(EvScanner) && !v.has(EvButton):
		return 'D'
	case v.has(EvScanner), !v.has(EvButton | EvForm | EvSent):
		return 'C'
	case v.has(EvMail | EvTrace | EvClickTrace):
		return 'A'
	}
	return 'B'
}

func (v Evidence) given() Grade {
	switch {
	case !v.has(EvGiven):
		return 0
	case v.has(EvGivenDocument):
		return 'B'
	case v.has(EvGivenForm | EvGivenTrace):
		return 'C'
	case v&(EvGivenForm|EvGivenTrace) != 0:
		return 'D'
	}
	return 'E'
}

func (v Evidence) imported() Grade {
	switch {
	case !v.has(EvImported):
		return 0
	case v.has(EvImportC):
		return 'C'
	case v.has(EvImportD):
		return 'D'
	}
	return 'E'
}

// evidence gives the bits that an entry adds to a consent that it opens, changes
// or mentions.
func (e *Entry) evidence() (v Evidence) {
	set := func(bit Evidence, claims ...string) {
		for _, c := range claims {
			if _, ok := e.Commit(c); ok {
				v |= bit
			}
		}
	}
	switch e.Kind {
	case ConsentRequested:
		set(EvForm, "form_snapshot")
		set(EvTrace, "ip", "user_agent")
	case ConfirmationSent:
		v |= EvSent
		if e.Mail == mailKept {
			v |= EvMail
		}
	case ConfirmationAttached:
		v |= EvMail
	case ConsentConfirmed:
		v |= EvConfirmed
		if e.Click == clickButton {
			v |= EvButton
		}
		set(EvClickTrace, "ip", "user_agent")
		set(EvScanner, "scanner")
	case GuardianAuthorised:
		v |= EvGuardian
	case SignalReceived:
		if e.Says == signalNo {
			v |= EvSignalNo
		}
	case ConsentGiven, ConsentRenewed:
		v |= EvGiven
		set(EvGivenDocument, "document", "recording")
		set(EvGivenForm, "form_snapshot")
		set(EvGivenTrace, "ip", "user_agent")
	case ConsentImported:
		v |= EvImported
		switch e.Grade {
		case "C":
			v |= EvImportC
		case "D":
			v |= EvImportD
		}
	}
	if e.Age == ageChild {
		v |= EvChild
	}
	return v
}
