package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fieldID numbers the lines that kinds can have.
type fieldID uint8

const (
	fController fieldID = iota
	fOrigin
	fFormat
	fAdd
	fSign
	fName
	fRole
	fPurpose
	fVersion
	fMarketing
	fDoubleOptIn
	fDOIChannel
	fLifetime
	fLockDays
	fLapsedDays
	fUnusedDays
	fUnusedMeasure
	fEvidenceDays
	fValidityDays
	fUnusedWarnDays
	fMinimumGrade
	fMinimumAge
	fExplicit
	fParent
	fBases
	fTrackingMode
	fNotice
	fLanguage
	fCovers
	fUse
	fCheckbox
	fConditionalOn
	fFacts
	fChannel
	fMethod
	fLock
	fExpires
	fIPPolicy
	fAge
	fGrade
	fBasis
	fCondition
	fMail
	fNewLock
	fFormer
	fFailure
	fToken
	fClick
	fMode
	fGround
	fCause
	fReason
	fUntil
	fRefers
	fGeneration
	fMedium
	fContents
	fExistenceDue
	fExistence
	fChange
	fRule
	fMeasure
	fStateRoot
	fEffectHours
	fClaim
	fProcessor
	fCountry
	fSignal
	fSays
	fSystem
	fMeans
	fArticle      // of an objection
	fArticleAsked // of a request
	fRefusal
	fOccasion
	fShown
	fDue
	fInformed
	fRetire
	fSize
	fCheckpoint
	fStamp
	fStamped
)

// field says how the lines of one name are written and read.
type field struct {
	name  string
	count func(e *Entry) int
	put   func(b []byte, e *Entry, i int) []byte
	get   func(e *Entry, v string) error
}

// fields is filled in init order by fieldID; each row is the one place that
// knows the spelling of its value.
var fields = [...]field{
	fController:     word("controller", func(e *Entry) *string { return &e.Controller }, IsIdentifier, "not an identifier"),
	fOrigin:         word("origin", func(e *Entry) *string { return &e.Origin }, func(s string) bool { return ValidOrigin(s) == nil }, "not an origin"),
	fFormat:         formatField,
	fAdd:            words("add", func(e *Entry) *[]string { return &e.Add }, isVerifierKey, "not a verifier key", false),
	fSign:           signField,
	fName:           word("name", func(e *Entry) *string { return &e.Name }, isSourceName, "not an identifier, or reserved"),
	fRole:           word("role", func(e *Entry) *string { return &e.Role }, IsRole, "not a role"),
	fPurpose:        word("purpose", func(e *Entry) *string { return &e.Purpose }, IsIdentifier, "not an identifier"),
	fVersion:        number("version", func(e *Entry) *int64 { return &e.Version }, 1),
	fMarketing:      word("marketing", func(e *Entry) *string { return &e.Marketing }, isYesNo, "want yes or no"),
	fDoubleOptIn:    word("double_opt_in", func(e *Entry) *string { return &e.DoubleOptIn }, isYesNo, "want yes or no"),
	fDOIChannel:     words("double_opt_in_channel", func(e *Entry) *[]string { return &e.DOIChannels }, IsChannel, "not a channel", true),
	fLifetime:       number("token_lifetime", func(e *Entry) *int64 { return &e.Lifetime }, 1),
	fLockDays:       number("lock_days", func(e *Entry) *int64 { return &e.LockDays }, 1),
	fLapsedDays:     number("lapsed_days", func(e *Entry) *int64 { return &e.LapsedDays }, 1),
	fUnusedDays:     number("unused_days", func(e *Entry) *int64 { return &e.UnusedDays }, 1),
	fUnusedMeasure:  word("unused_measure", func(e *Entry) *string { return &e.UnusedMeasure }, IsUnusedMeasure, "want warn, block or expire"),
	fEvidenceDays:   number("evidence_days", func(e *Entry) *int64 { return &e.EvidenceDays }, 1),
	fValidityDays:   number("validity_days", func(e *Entry) *int64 { return &e.ValidityDays }, 1),
	fUnusedWarnDays: number("unused_warn_days", func(e *Entry) *int64 { return &e.UnusedWarnDays }, 1),
	fMinimumGrade:   word("minimum_grade", func(e *Entry) *string { return &e.MinimumGrade }, isGrade, "not a grade"),
	fMinimumAge:     number("minimum_age", func(e *Entry) *int64 { return &e.MinimumAge }, 1),
	fExplicit:       word("explicit", func(e *Entry) *string { return &e.Explicit }, isYes, "want yes, or no line"),
	fParent:         word("parent", func(e *Entry) *string { return &e.Parent }, IsIdentifier, "not an identifier"),
	fBases:          words("basis", func(e *Entry) *[]string { return &e.Bases }, IsBasis, "not a basis", true),
	fTrackingMode:   word("tracking_mode", func(e *Entry) *string { return &e.TrackingMode }, IsMode, "not a mode of tracking"),
	fNotice:         noticeField,
	fLanguage:       word("language", func(e *Entry) *string { return &e.Language }, IsLanguage, "not a language tag"),
	fCovers:         words("covers", func(e *Entry) *[]string { return &e.Covers }, IsIdentifier, "not an identifier", true),
	fUse:            word("use", func(e *Entry) *string { return &e.Use }, IsNoticeUse, "not a use of a notice"),
	fCheckbox:       word("checkbox", func(e *Entry) *string { return &e.Checkbox }, IsCheckbox, "want unticked or none"),
	fConditionalOn:  word("conditional_on", func(e *Entry) *string { return &e.ConditionalOn }, IsTie, "want none or service"),
	fFacts:          optionalHash("facts", func(e *Entry) *Hash { return &e.Facts }),
	fChannel:        word("channel", func(e *Entry) *string { return &e.Channel }, isChannelLine, "not a channel"),
	fMethod:         word("method", func(e *Entry) *string { return &e.Method }, IsMethod, "not a method"),
	fLock:           namedHash("lock", func(e *Entry) *Hash { return &e.Lock }),
	fExpires:        seconds("expires", func(e *Entry) *time.Time { return &e.Expires }),
	fIPPolicy:       word("ip_policy", func(e *Entry) *string { return &e.IPPolicy }, IsIPPolicy, "not a policy"),
	fAge:            word("age", func(e *Entry) *string { return &e.Age }, IsAge, "want old_enough or child"),
	fGrade:          word("grade", func(e *Entry) *string { return &e.Grade }, IsImportGrade, "want C, D or E"),
	fBasis:          word("basis", func(e *Entry) *string { return &e.Basis }, isAssertedBasis, "not a basis besides consent"),
	fCondition:      words("condition", func(e *Entry) *[]string { return &e.Conditions }, IsCondition, "not a condition", true),
	fMail:           word("mail", func(e *Entry) *string { return &e.Mail }, func(s string) bool { return s == mailKept }, "want kept, or no line"),
	fNewLock:        optionalHash("lock", func(e *Entry) *Hash { return &e.Lock }),
	fFormer:         optionalHash("former", func(e *Entry) *Hash { return &e.Former }),
	fFailure:        word("failure", func(e *Entry) *string { return &e.Failure }, IsFailure, "want permanent or temporary"),
	fToken:          word("token", func(e *Entry) *string { return &e.Token }, IsToken, "want 43 characters of unpadded base64url"),
	fClick:          word("click", func(e *Entry) *string { return &e.Click }, IsClick, "not a way of clicking"),
	fMode:           word("mode", func(e *Entry) *string { return &e.Mode }, IsMode, "not a mode of tracking"),
	fGround:         word("ground", func(e *Entry) *string { return &e.Ground }, IsGround, "not a ground"),
	fCause:          word("cause", func(e *Entry) *string { return &e.Cause }, IsCause, "not a cause"),
	fReason:         word("reason", func(e *Entry) *string { return &e.Reason }, IsEraseReason, "not a reason"),
	fUntil:          seconds("until", func(e *Entry) *time.Time { return &e.Until }),
	fRefers:         refersField,
	fGeneration:     number("generation", func(e *Entry) *int64 { return &e.Generation }, 1),
	fMedium:         word("medium", func(e *Entry) *string { return &e.Medium }, func(s string) bool { return slices.Contains(media, s) }, "not a medium"),
	fContents:       seconds("contents_destroyed", func(e *Entry) *time.Time { return &e.Contents }),
	fExistenceDue:   seconds("existence_due", func(e *Entry) *time.Time { return &e.ExistenceDue }),
	fExistence:      seconds("existence_destroyed", func(e *Entry) *time.Time { return &e.Existence }),
	fChange:         word("change", func(e *Entry) *string { return &e.Change }, IsRectification, "not a change"),
	fRule:           word("rule", func(e *Entry) *string { return &e.Rule }, IsRetentionRule, "not a rule of retention"),
	fMeasure:        word("measure", func(e *Entry) *string { return &e.Measure }, IsRetentionMeasure, "not a measure"),
	fStateRoot:      hash("state_root", func(e *Entry) *Hash { return &e.StateRoot }),
	fEffectHours:    number("effect_hours", func(e *Entry) *int64 { return &e.EffectHours }, 1),
	fClaim:          word("claim", func(e *Entry) *string { return &e.Claim }, IsDeclarableClaim, "want x. and an identifier"),
	fProcessor:      word("processor", func(e *Entry) *string { return &e.Processor }, IsIdentifier, "not an identifier"),
	fCountry:        word("country", func(e *Entry) *string { return &e.Country }, IsCountry, "want two upper-case letters"),
	fSignal:         word("signal", func(e *Entry) *string { return &e.Signal }, IsPreferenceSignal, "not a signal"),
	fSays:           word("says", func(e *Entry) *string { return &e.Says }, isYesNo, "want yes or no"),
	fSystem:         word("system", func(e *Entry) *string { return &e.System }, IsIdentifier, "not an identifier"),
	fMeans:          word("means", func(e *Entry) *string { return &e.Means }, IsMeans, "not a way of verifying who somebody is"),
	fArticle:        word("article", func(e *Entry) *string { return &e.Article }, func(s string) bool { return s == artDecision }, "want art22, or no line"),
	fArticleAsked:   word("article", func(e *Entry) *string { return &e.Article }, IsArticle, "not an article that gives a right to ask"),
	fRefusal:        word("refusal", func(e *Entry) *string { return &e.Refusal }, IsRefusal, "not a reason to refuse"),
	fOccasion:       word("occasion", func(e *Entry) *string { return &e.Occasion }, IsOccasion, "not an occasion"),
	fShown:          words("shown", func(e *Entry) *[]string { return &e.Shown }, isClaim, "not a claim", true),
	fDue:            seconds("due", func(e *Entry) *time.Time { return &e.Due }),
	fInformed:       seconds("informed", func(e *Entry) *time.Time { return &e.Informed }),
	fRetire:         words("retire", func(e *Entry) *[]string { return &e.Retire }, isVerifierKey, "not a verifier key", false),
	fSize:           number("size", func(e *Entry) *int64 { return (*int64)(&e.Size) }, 1),
	fCheckpoint:     namedHash("checkpoint", func(e *Entry) *Hash { return &e.Checkpoint }),
	fStamp:          namedHash("stamp", func(e *Entry) *Hash { return &e.Stamp }),
	fStamped:        micros("stamped", func(e *Entry) *time.Time { return &e.Stamped }),
}

func word(name string, at func(*Entry) *string, valid func(string) bool, wrong string) field {
	return field{
		name,
		func(e *Entry) int { return present(*at(e) != "") },
		func(b []byte, e *Entry, _ int) []byte { return append(b, *at(e)...) },
		func(e *Entry, v string) error {
			if !valid(v) {
				return errors.New(wrong)
			}
			*at(e) = v
			return nil
		},
	}
}

// words is a repeated line; ascending ones are a set, in byte order.
func words(name string, at func(*Entry) *[]string, valid func(string) bool, wrong string, ascending bool) field {
	return field{
		name,
		func(e *Entry) int { return len(*at(e)) },
		func(b []byte, e *Entry, i int) []byte { return append(b, (*at(e))[i]...) },
		func(e *Entry, v string) error {
			list := at(e)
			if !valid(v) {
				return errors.New(wrong)
			}
			if n := len(*list); ascending && n > 0 && (*list)[n-1] >= v {
				return errors.New("not ascending")
			}
			*list = append(*list, v)
			return nil
		},
	}
}

func number(name string, at func(*Entry) *int64, least int64) field {
	return field{
		name,
		func(e *Entry) int { return present(*at(e) != 0) },
		func(b []byte, e *Entry, _ int) []byte { return strconv.AppendInt(b, *at(e), 10) },
		func(e *Entry, v string) error {
			n, err := parseNumber(v)
			if err == nil && n < least {
				err = fmt.Errorf("want at least %d", least)
			}
			*at(e) = n
			return err
		},
	}
}

func hash(name string, at func(*Entry) *Hash) field {
	return field{
		name,
		func(e *Entry) int { return 1 },
		func(b []byte, e *Entry, _ int) []byte { return base64.StdEncoding.AppendEncode(b, at(e)[:]) },
		func(e *Entry, v string) (err error) { *at(e), err = ParseHash(v); return err },
	}
}

// namedHash is a hash that names something, so that 32 zero bytes are none.
func namedHash(name string, at func(*Entry) *Hash) field {
	f := hash(name, at)
	f.get = func(e *Entry, v string) (err error) {
		if *at(e), err = ParseHash(v); err == nil && *at(e) == (Hash{}) {
			err = errors.New("zeros are no hash")
		}
		return err
	}
	return f
}

// optionalHash is a namedHash that may be absent; zeros stand for its absence.
func optionalHash(name string, at func(*Entry) *Hash) field {
	f := namedHash(name, at)
	f.count = func(e *Entry) int { return present(*at(e) != Hash{}) }
	return f
}

func seconds(name string, at func(*Entry) *time.Time) field {
	return field{
		name,
		func(e *Entry) int { return present(!at(e).IsZero()) },
		func(b []byte, e *Entry, _ int) []byte { return at(e).UTC().AppendFormat(b, secondsLayout) },
		func(e *Entry, v string) (err error) { *at(e), err = parseTime(v, false); return err },
	}
}

// micros is a time to the microsecond.
func micros(name string, at func(*Entry) *time.Time) field {
	return field{
		name,
		func(e *Entry) int { return present(!at(e).IsZero()) },
		func(b []byte, e *Entry, _ int) []byte { return at(e).UTC().AppendFormat(b, microsLayout) },
		func(e *Entry, v string) (err error) { *at(e), err = parseTime(v, true); return err },
	}
}

// formatField is `format 1`: the version that the log began with, which is that
// of entry 0's own first line.
var formatField = func() field {
	f := number("format", func(e *Entry) *int64 { return &e.Format }, FormatVersion)
	get := f.get
	f.get = func(e *Entry, v string) error {
		if err := get(e, v); err != nil || e.Format != FormatVersion {
			return fmt.Errorf("want %d", FormatVersion)
		}
		return nil
	}
	return f
}()

// noticeField is `notice <id>@<version> <base64 sha256 of the text>`.
var noticeField = field{
	"notice",
	func(e *Entry) int { return present(e.Notice.ID != "") },
	func(b []byte, e *Entry, _ int) []byte {
		return base64.StdEncoding.AppendEncode(append(append(b, e.Notice.Name()...), ' '), e.Notice.SHA256[:])
	},
	func(e *Entry, v string) (err error) {
		name, sum, _ := strings.Cut(v, " ")
		if e.Notice.ID, e.Notice.Version, err = ParseNoticeName(name); err == nil {
			e.Notice.SHA256, err = ParseHash(sum)
		}
		return err
	},
}

// signField is `sign <key id, 8 hex digits> <base64 signature>`.
var signField = field{
	"sign",
	func(e *Entry) int { return len(e.Sign) },
	func(b []byte, e *Entry, i int) []byte {
		id := binary.BigEndian.AppendUint32(nil, e.Sign[i].KeyID)
		b = append(hex.AppendEncode(b, id), ' ')
		return base64.StdEncoding.AppendEncode(b, e.Sign[i].Signature)
	},
	func(e *Entry, v string) error {
		id, sig, _ := strings.Cut(v, " ")
		raw, err := hex.DecodeString(id)
		if err != nil || len(raw) != 4 || strings.ToLower(id) != id {
			return errors.New("want a key id of 8 lower-case hex digits")
		}
		s, err := base64.StdEncoding.Strict().DecodeString(sig)
		if err != nil || len(s) == 0 {
			return errors.New("want a signature in base64")
		}
		e.Sign = append(e.Sign, KeySignature{binary.BigEndian.Uint32(raw), s})
		return nil
	},
}

// refersField is `refers <index>`, ascending: earlier entries that are not consents.
var refersField = field{
	"refers",
	func(e *Entry) int { return len(e.Refers) },
	func(b []byte, e *Entry, i int) []byte { return strconv.AppendInt(b, int64(e.Refers[i]), 10) },
	func(e *Entry, v string) error {
		n, err := parseNumber(v)
		if err == nil && Index(n) >= e.Index {
			err = errors.New("not an earlier entry")
		}
		if err == nil && len(e.Refers) > 0 && e.Refers[len(e.Refers)-1] >= Index(n) {
			err = errors.New("not ascending")
		}
		e.Refers = append(e.Refers, Index(n))
		return err
	},
}

func present(b bool) int {
	if b {
		return 1
	}
	return 0
}

func isYesNo(s string) bool       { return s == "yes" || s == "no" }
func isYes(s string) bool         { return s == "yes" }
func isSourceName(s string) bool  { return IsIdentifier(s) && s != SourceLedger }
func isChannelLine(s string) bool { return IsChannel(s) || s == AnyChannel }
func isVerifierKey(s string) bool { _, err := ParseVerifierKey(s); return err == nil }

// IsCountry reports whether s has the shape of a country's code, ISO 3166-1 alpha-2:
// two upper-case letters.
func IsCountry(s string) bool {
	return len(s) == 2 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// IsLanguage reports whether s is a language tag: two or three lower-case
// letters (ISO 639), optionally `-` and two upper-case letters (ISO 3166-1), as
// in `de` or `de-AT`.
func IsLanguage(s string) bool {
	lang, region, ok := strings.Cut(s, "-")
	return len(lang) >= 2 && len(lang) <= 3 && strings.Trim(lang, "abcdefghijklmnopqrstuvwxyz") == "" &&
		(!ok || len(region) == 2 && strings.Trim(region, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "")
}
