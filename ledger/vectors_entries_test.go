package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// badEntry is one way of being bad: a good entry with one thing replaced.
type badEntry struct {
	name     string
	kind     Kind   // of the good entry
	from, to string // what is replaced; from stands once in the good entry
	err      string
	reason   string
}

const zeroHash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// badEntries are checked against the first entry of their kind in the story.
var badEntries = []badEntry{
	{"empty", SourceDeclared, "*", "", "line 1: not a consent ledger entry", "no bytes at all"},
	{"other-magic", SourceDeclared, "consent-ledger/entry", "consent-ledger/entri", "line 1: not a consent ledger entry", "the magic is another"},
	{"magic-upper-case", SourceDeclared, "consent-ledger/entry", "Consent-ledger/entry", "line 1: not a consent ledger entry", "the magic is another"},
	{"no-version", SourceDeclared, "entry/v1", "entry/v", "line 1: no format version", "the magic has no version"},
	{"version-0", SourceDeclared, "entry/v1", "entry/v0", "line 1: no format version", "versions count from 1"},
	{"version-leading-zero", SourceDeclared, "entry/v1", "entry/v01", "line 1: no format version", "a number has no leading zeros"},
	{"version-trailing-space", SourceDeclared, "entry/v1", "entry/v1 ", "line 1: no format version", "a space after the version"},
	{"only-magic", SourceDeclared, "*", "consent-ledger/entry/v1", "line 1: no format version", "the first line is not ended"},
	{"version-2", SourceDeclared, "entry/v1", "entry/v2", "needs a newer verifier: entry format version 2", "a later format: not an error of the entry"},
	{"version-17", SourceDeclared, "entry/v1", "entry/v17", "needs a newer verifier: entry format version 17", "a later format: not an error of the entry"},
	{"unknown-kind", SourceDeclared, "kind source.declared", "kind source.guessed", "needs a newer verifier: unknown kind", "a kind of a later version: not an error of the entry"},

	{"no-index", SourceDeclared, "index 1\n", "", `line 2: want a line "index"`, "the line is missing"},
	{"no-prev", SourceDeclared, "prev *\n", "", `line 3: want a line "prev"`, "the line is missing"},
	{"no-time", SourceDeclared, "time *\n", "", `line 4: want a line "time"`, "the line is missing"},
	{"no-kind", SourceDeclared, "kind source.declared\n", "", `line 5: want a line "kind"`, "the line is missing"},
	{"no-source", SourceDeclared, "source ledger\n", "", `line 6: want a line "source"`, "the line is missing"},
	{"index-twice", SourceDeclared, "index 1\n", "index 1\nindex 1\n", `line 3: want a line "prev"`, "the line stands twice"},
	{"kind-source-swapped", SourceDeclared, "kind source.declared\nsource ledger\n", "source ledger\nkind source.declared\n", `line 5: want a line "kind"`, "the lines are in another order"},
	{"index-prev-swapped", SourceDeclared, "index 1\nprev *\n", "prev " + zeroHash + "\nindex 1\n", `line 2: want a line "index"`, "the lines are in another order"},

	{"index-leading-zero", SourceDeclared, "index 1\n", "index 01\n", "line 2: index: want a decimal number", "a number has no leading zeros"},
	{"index-negative", SourceDeclared, "index 1\n", "index -1\n", "line 2: index: want a decimal number", "a number has no sign"},
	{"index-plus", SourceDeclared, "index 1\n", "index +1\n", "line 2: index: want a decimal number", "a number has no sign"},
	{"index-hex", SourceDeclared, "index 1\n", "index 0x1\n", "line 2: index: want a decimal number", "numbers are decimal"},
	{"index-19-digits", SourceDeclared, "index 1\n", "index 1000000000000000000\n", "line 2: index: want a decimal number", "a number has at most 18 digits"},
	{"index-empty", SourceDeclared, "index 1\n", "index \n", "line 2: index: want a decimal number", "the value is empty"},
	{"index-two-spaces", SourceDeclared, "index 1\n", "index  1\n", "line 2: index: want a decimal number", "one space stands between name and value"},
	{"index-trailing-space", SourceDeclared, "index 1\n", "index 1 \n", "line 2: index: want a decimal number", "nothing stands after the value"},
	{"index-tab", SourceDeclared, "index 1\n", "index\t1\n", "line 2: not printable ASCII", "a tab is not printable ASCII"},
	{"index-colon", SourceDeclared, "index 1\n", "index: 1\n", `line 2: want a line "index"`, "one space stands between name and value"},

	{"prev-hex", SourceDeclared, "prev *\n", "prev " + strings.Repeat("00", 32) + "\n", "line 3: prev: want 44 characters", "hashes are base64"},
	{"prev-unpadded", SourceDeclared, "prev *\n", "prev " + zeroHash[:43] + "\n", "line 3: prev: want 44 characters", "base64 is padded"},
	{"prev-31-bytes", SourceDeclared, "prev *\n", "prev " + zeroHash[:42] + "==\n", "line 3: prev: want 32 bytes", "a hash has 32 bytes"},
	{"prev-33-bytes", SourceDeclared, "prev *\n", "prev " + zeroHash[:43] + "A\n", "line 3: prev: want 32 bytes", "a hash has 32 bytes"},
	{"prev-unused-bits", SourceDeclared, "prev *\n", "prev " + zeroHash[:42] + "B=\n", "line 3: prev: want 32 bytes", "the unused bits of the last character are zero"},
	{"prev-url-alphabet", SourceDeclared, "prev *\n", "prev _" + zeroHash[1:] + "\n", "line 3: prev: want 32 bytes", "hashes are in the standard alphabet"},

	{"time-seconds", SourceDeclared, "time *\n", "time 2026-11-21T22:36:01Z\n", "line 4: time: want a time like", "time has six decimals"},
	{"time-millis", SourceDeclared, "time *\n", "time 2026-11-21T22:36:01.123Z\n", "line 4: time: want a time like", "time has six decimals"},
	{"time-nanos", SourceDeclared, "time *\n", "time 2026-11-21T22:36:01.123456000Z\n", "line 4: time: want a time like", "time has six decimals"},
	{"time-comma", SourceDeclared, "time *\n", "time 2026-11-21T22:36:01,123456Z\n", "line 4: time: want a time like", "the decimals follow a dot"},
	{"time-offset", SourceDeclared, "time *\n", "time 2026-11-21T22:36:01.123456+00:00\n", "line 4: time: want a time like", "UTC is written Z"},
	{"time-lower-case", SourceDeclared, "time *\n", "time 2026-11-21t22:36:01.123456z\n", "line 4: time: want a time like", "T and Z are upper case"},
	{"time-space", SourceDeclared, "time *\n", "time 2026-11-21 22:36:01.123456Z\n", "line 4: time: want a time like", "date and time are separated by T"},
	{"time-february-30", SourceDeclared, "time *\n", "time 2026-02-30T22:36:01.123456Z\n", "line 4: time: no such time", "February has no 30th"},
	{"time-february-29", SourceDeclared, "time *\n", "time 2026-02-29T22:36:01.123456Z\n", "line 4: time: no such time", "2026 is no leap year"},
	{"time-month-13", SourceDeclared, "time *\n", "time 2026-13-01T22:36:01.123456Z\n", "line 4: time: no such time", "a year has 12 months"},
	{"time-month-00", SourceDeclared, "time *\n", "time 2026-00-01T22:36:01.123456Z\n", "line 4: time: no such time", "months count from 1"},
	{"time-day-00", SourceDeclared, "time *\n", "time 2026-11-00T22:36:01.123456Z\n", "line 4: time: no such time", "days count from 1"},
	{"time-hour-24", SourceDeclared, "time *\n", "time 2026-11-21T24:00:00.000000Z\n", "line 4: time: no such time", "midnight is 00:00"},
	{"time-minute-60", SourceDeclared, "time *\n", "time 2026-11-21T22:60:01.123456Z\n", "line 4: time: no such time", "an hour has 60 minutes"},
	{"time-leap-second", SourceDeclared, "time *\n", "time 2026-12-31T23:59:60.000000Z\n", "line 4: time: no such time", "leap seconds are not written"},
	{"time-second-60", SourceDeclared, "time *\n", "time 2026-11-21T12:00:60.000000Z\n", "line 4: time: no such time", "a minute has 60 seconds, from 00"},
	{"time-1999", SourceDeclared, "time *\n", "time 1999-12-31T23:59:59.000000Z\n", "line 4: time: no such time", "years begin with 2000"},

	{"kind-upper-case", SourceDeclared, "kind source.declared", "kind Source.declared", "line 5: kind: not an identifier", "identifiers are lower case"},
	{"kind-leading-dot", SourceDeclared, "kind source.declared", "kind .declared", "line 5: kind: not an identifier", "identifiers begin with a letter or a digit"},
	{"kind-empty", SourceDeclared, "kind source.declared", "kind ", "line 5: kind: not an identifier", "identifiers are not empty"},
	{"source-space", SourceDeclared, "source ledger", "source the ledger", "line 6: source: not an identifier", "identifiers have no spaces"},
	{"source-65-characters", SourceDeclared, "source ledger", "source " + strings.Repeat("x", 65), "line 6: source: not an identifier", "identifiers have at most 64 characters"},
	{"source-at", SourceDeclared, "source ledger", "source erika@example.com", "line 6: source: not an identifier", "an address is no identifier"},

	{"cr", SourceDeclared, "index 1\n", "index 1\r\n", "line 2: not printable ASCII", "lines are ended by LF alone"},
	{"nul", SourceDeclared, "role admin", "role adm\x00in", "line 8: not printable ASCII", "not printable ASCII"},
	{"del", SourceDeclared, "role admin", "role admin\x7f", "line 8: not printable ASCII", "not printable ASCII"},
	{"utf-8", SourceDeclared, "role admin", "role ädmin", "line 8: not printable ASCII", "not ASCII"},
	{"byte-order-mark", SourceDeclared, "consent-ledger/entry", "\ufeffconsent-ledger/entry", "line 1: not printable ASCII", "not ASCII"},
	{"no-final-lf", SourceDeclared, "role admin\n", "role admin", "line 8: not ended by a line feed", "every line is ended by LF"},
	{"blank-line-at-end", SourceDeclared, "role admin\n", "role admin\n\n", "line 9: unexpected line", "there are no blank lines"},
	{"blank-line-inside", SourceDeclared, "source ledger\n", "source ledger\n\n", `line 7: want a line "name"`, "there are no blank lines"},
	{"trailing-line", SourceDeclared, "role admin\n", "role admin\nnote hello\n", "line 9: unexpected line", "a line that the kind does not have"},
	{"line-twice", SourceDeclared, "role admin\n", "role admin\nrole admin\n", "line 9: unexpected line", "the line stands twice"},
	{"own-lines-swapped", SourceDeclared, "name admin\nrole admin\n", "role admin\nname admin\n", `line 7: want a line "name"`, "the lines are in another order"},
	{"own-line-missing", SourceDeclared, "name admin\n", "", `line 7: want a line "name"`, "the line is missing"},
	{"own-line-of-another-kind", SourceDeclared, "role admin\n", "role admin\npurpose newsletter\n", "line 9: unexpected line", "a line that the kind does not have"},
	{"occurred-not-allowed", SourceDeclared, "source ledger\n", "source ledger\noccurred 2026-11-21T22:36:01Z\n", "line 7: occurred: source.declared has no such line", "the kind has no occurred line"},
	{"commit-not-allowed", SourceDeclared, "role admin\n", "role admin\ncommit email " + zeroHash + "\n", "line 9: commit: source.declared has no claims", "the kind has no claims"},
	{"part-not-allowed", SourceDeclared, "source ledger\n", "source ledger\npart 1 of 2\n", "line 7: part: source.declared has no list", "the kind has no list"},
	{"consent-not-allowed", SourceDeclared, "source ledger\n", "source ledger\nconsent 0 after 0\n", "line 7: consent: this kind changes no consent", "the kind changes no consent"},
	{"about-not-allowed", SourceDeclared, "source ledger\n", "source ledger\nabout 0\n", "line 7: about: this kind mentions no consent", "the kind mentions no consent"},
	{"name-reserved", SourceDeclared, "name admin", "name ledger", "line 7: name: not an identifier, or reserved", "the name ledger is the ledger's own"},
	{"role-unknown", SourceDeclared, "role admin", "role root", "line 8: role: not a role", "not a word of the vocabulary"},
	{"too-long", ConsentUsed, "about 7\n", "about 7\n" + manyAbout(), "line 1: entry of", "an entry has at most 16,384 bytes"},

	{"origin-scheme", LedgerCreated, "origin ledger.example.com/shop", "origin https://ledger.example.com/shop", "line 8: origin: not an origin", "an origin has no scheme"},
	{"format-0", LedgerCreated, "format 1", "format 0", "line 9: format: want 1", "formats count from 1"},
	{"format-2", LedgerCreated, "format 1", "format 2", "line 9: format: want 1", "it is the format of its own first line"},
	{"add-missing", LedgerCreated, "add *\n", "", `line 11: want a line "add"`, "a log has two keys"},
	{"add-wrong-key-id", LedgerCreated, "add ledger.example.com/shop+3", "add ledger.example.com/shop+4", "line 10: add: not a verifier key", "the key id is not that of the key"},
	{"sign-upper-case-id", LedgerCreated, "sign 321fd7af", "sign 321FD7AF", "line 12: sign: want a key id of 8 lower-case hex digits", "key ids are lower case"},
	{"sign-short-id", LedgerCreated, "sign 321fd7af", "sign 321fd7", "line 12: sign: want a key id of 8 lower-case hex digits", "a key id has 8 digits"},
	{"sign-empty", LedgerCreated, "sign 321fd7af *\n", "sign 321fd7af \n", "line 12: sign: want a signature in base64", "a signature has at least one byte"},
	{"sign-unpadded", LedgerCreated, "sign 321fd7af *\n", "sign 321fd7af AAA\n", "line 12: sign: want a signature in base64", "base64 is padded"},

	{"version-of-purpose-0", PurposeDefined, "version 1", "version 0", "line 8: version: want at least 1", "versions count from 1"},
	{"marketing-true", PurposeDefined, "marketing yes", "marketing true", "line 9: marketing: want yes or no", "yes or no"},
	{"double-opt-in-yes-upper", PurposeDefined, "double_opt_in yes", "double_opt_in YES", "line 10: double_opt_in: want yes or no", "yes or no"},
	{"doi-channels-not-ascending", PurposeDefined, "double_opt_in_channel email\ndouble_opt_in_channel sms\n", "double_opt_in_channel sms\ndouble_opt_in_channel email\n", "line 12: double_opt_in_channel: not ascending", "the lines are ascending"},
	{"doi-channel-any", PurposeDefined, "double_opt_in_channel sms", "double_opt_in_channel any", "line 12: double_opt_in_channel: not a channel", "any is not a channel here"},
	{"lifetime-0", PurposeDefined, "token_lifetime 604800", "token_lifetime 0", "line 13: token_lifetime: want at least 1", "a token lives at least one second"},

	{"notice-without-version", NoticePublished, "newsletter-de@1", "newsletter-de", "line 7: notice: want an identifier, @ and a version", "a notice has a version"},
	{"notice-version-0", NoticePublished, "newsletter-de@1", "newsletter-de@0", "line 7: notice: want a version from 1", "versions count from 1"},
	{"notice-version-leading-zero", NoticePublished, "newsletter-de@1", "newsletter-de@01", "line 7: notice: want a version from 1", "a number has no leading zeros"},
	{"notice-without-hash", NoticePublished, "notice *\n", "notice newsletter-de@1\n", "line 7: notice: want 44 characters", "a notice has a hash"},
	{"language-upper-case", NoticePublished, "language de", "language DE", "line 8: language: not a language tag", "languages are lower case"},
	{"language-region-lower-case", NoticePublished, "language de", "language de-at", "line 8: language: not a language tag", "regions are upper case"},
	{"covers-nothing", NoticePublished, "covers email.open_tracking\ncovers newsletter\n", "", `line 9: want a line "covers"`, "a notice covers at least one purpose"},
	{"covers-not-ascending", NoticePublished, "covers email.open_tracking\ncovers newsletter\n", "covers newsletter\ncovers email.open_tracking\n", "line 10: covers: not ascending", "the lines are ascending"},
	{"covers-twice", NoticePublished, "covers newsletter\n", "covers newsletter\ncovers newsletter\n", "line 11: covers: not ascending", "the lines are strictly ascending"},
	{"covers-33", NoticePublished, "covers email.open_tracking\ncovers newsletter\n", manyCovers(33), "line 41: unexpected line", "a notice covers at most 32 purposes"},

	{"occurred-february-30", ConsentRequested, "occurred *\n", "occurred 2026-02-30T00:00:00Z\n", "line 7: occurred: no such time", "February has no 30th"},
	{"occurred-micros", ConsentRequested, "occurred *\n", "occurred 2026-11-21T22:36:07.000000Z\n", "line 7: occurred: want a time like", "occurred has whole seconds"},
	{"occurred-twice", ConsentRequested, "occurred *\n", "occurred 2026-11-21T22:36:07Z\noccurred 2026-11-21T22:36:07Z\n", `line 8: want a line "purpose"`, "the line stands twice"},
	{"occurred-last", ConsentRequested, "ip_policy truncated\n", "ip_policy truncated\noccurred 2026-11-21T22:36:07Z\n", "want a commit", "the lines are in another order"},
	{"consent-in-opening", ConsentRequested, "source shop-frontend\n", "source shop-frontend\nconsent 0 after 0\n", "line 7: consent: this kind changes no consent", "a request changes no consent"},
	{"purpose-missing", ConsentRequested, "purpose newsletter\n", "", `line 8: want a line "purpose"`, "the line is missing"},
	{"channel-missing", ConsentRequested, "channel email\n", "", `line 9: want a line "channel"`, "the line is missing"},
	{"notice-missing", ConsentRequested, "notice *\n", "", `line 10: want a line "notice"`, "the line is missing"},
	{"method-missing", ConsentRequested, "method web_form\n", "", `line 11: want a line "method"`, "the line is missing"},
	{"lock-missing", ConsentRequested, "lock *\n", "", `line 12: want a line "lock"`, "the line is missing"},
	{"expires-missing", ConsentRequested, "expires *\n", "", `line 13: want a line "expires"`, "the line is missing"},
	{"ip-policy-missing", ConsentRequested, "ip_policy truncated\n", "", `line 14: want a line "ip_policy"`, "the line is missing"},
	{"channel-unknown", ConsentRequested, "channel email", "channel pigeon", "line 9: channel: not a channel", "not a word of the vocabulary"},
	{"method-unknown", ConsentRequested, "method web_form", "method guessed", "line 11: method: not a method", "not a word of the vocabulary"},
	{"lock-hex", ConsentRequested, "lock *\n", "lock " + strings.Repeat("0", 44) + "\n", "line 12: lock: want 32 bytes", "hashes are base64"},
	{"ip-policy-unknown", ConsentRequested, "ip_policy truncated", "ip_policy hashed", "line 14: ip_policy: not a policy", "not a word of the vocabulary"},
	{"token-in-request", ConsentRequested, "ip_policy truncated\n", "ip_policy truncated\ntoken " + zeroHash[:43] + "\n", "line 15: want a commit", "only confirmed and rejected reveal a token"},
	{"no-identifier", ConsentRequested, "commit email *\n", "", "line 17: want a commit to email, phone or external_id", "an opening entry commits to an identifier of the person"},
	{"no-commits", ConsentRequested, "commit email *\n", "@drop-commits", "line 15: want a commit to email, phone or external_id", "an opening entry commits to an identifier of the person"},
	{"commits-not-ascending", ConsentRequested, "commit email *\n", "commit name " + zeroHash + "\n", "line 16: commit: claims are not ascending", "claims are ascending"},
	{"commit-twice", ConsentRequested, "commit email *\n", "commit email " + zeroHash + "\ncommit email " + zeroHash + "\n", "line 16: commit: claims are not ascending", "a claim stands once"},
	{"claim-unknown", ConsentRequested, "commit ip ", "commit shoe_size ", "line 16: commit: not a claim", "neither a reserved claim nor x."},
	{"claim-x-63-characters", ConsentRequested, "commit page_url ", "commit x." + strings.Repeat("a", 63) + " ", "line 17: commit: not a claim", "a claim has at most 64 characters"},
	{"claim-x-empty", ConsentRequested, "commit page_url ", "commit x. ", "line 17: commit: not a claim", "x. needs a name"},
	{"claim-upper-case", ConsentRequested, "commit page_url ", "commit Page_url ", "line 17: commit: not a claim", "claims are lower case"},
	{"commit-without-hash", ConsentRequested, "commit email *\n", "commit email\n", "line 15: commit: want 44 characters", "a commitment has a hash"},
	{"commit-unused-bits", ConsentRequested, "commit email *\n", "commit email " + zeroHash[:42] + "B=\n", "line 15: commit: want 32 bytes", "the unused bits of the last character are zero"},
	{"commit-trailing", ConsentRequested, "commit email *\n", "commit email " + zeroHash + " sha256\n", "line 15: commit: want 44 characters", "nothing stands after the value"},
	{"commit-before-own-lines", ConsentRequested, "purpose newsletter\n", "commit email " + zeroHash + "\npurpose newsletter\n", `line 8: want a line "purpose"`, "the lines are in another order"},

	{"about-missing", ConfirmationSent, "about 7\nabout 8\n", "", `line 7: want a line "about"`, "the kind mentions at least one consent"},
	{"about-not-ascending", ConfirmationSent, "about 7\nabout 8\n", "about 8\nabout 7\n", "line 8: about: ids are not ascending", "ids are ascending"},
	{"about-twice", ConfirmationSent, "about 7\nabout 8\n", "about 8\nabout 8\n", "line 8: about: ids are not ascending", "an id stands once"},
	{"about-leading-zero", ConfirmationSent, "about 7\n", "about 07\n", "line 7: about: want a decimal number", "a number has no leading zeros"},
	{"consent-instead-of-about", ConfirmationSent, "about 7\nabout 8\n", "consent 7 after 7\n", "line 7: consent: this kind changes no consent", "the kind only mentions"},

	{"consent-missing", ConsentConfirmed, "consent 7 after 7\nconsent 8 after 8\n", "", `line 7: want a line "consent"`, "the kind changes at least one consent"},
	{"consents-not-ascending", ConsentConfirmed, "consent 7 after 7\nconsent 8 after 8\n", "consent 8 after 8\nconsent 7 after 7\n", "line 8: consent: ids are not ascending", "ids are ascending"},
	{"consent-twice", ConsentConfirmed, "consent 7 after 7\n", "consent 7 after 7\nconsent 7 after 7\n", "line 8: consent: ids are not ascending", "an id stands once"},
	{"consent-without-after", ConsentConfirmed, "consent 7 after 7", "consent 7", "line 7: consent: want <id> after <index>", "the entry that changed it last is named"},
	{"consent-after-before-id", ConsentConfirmed, "consent 7 after 7", "consent 7 after 6", "line 7: consent: changed before it was opened", "nothing changes a consent before it is opened"},
	{"consent-leading-zero", ConsentConfirmed, "consent 7 after 7", "consent 7 after 07", "line 7: consent: want <id> after <index>", "a number has no leading zeros"},
	{"about-instead-of-consent", ConsentConfirmed, "consent 7 after 7\nconsent 8 after 8\n", "about 7\n", "line 7: about: this kind mentions no consent", "the kind changes"},
	{"token-missing", ConsentConfirmed, "token *\n", "", `line 9: want a line "token"`, "the line is missing"},
	{"token-42-characters", ConsentConfirmed, "token *\n", "token " + zeroHash[:42] + "\n", "line 9: token: want 43 characters", "a token has 43 characters"},
	{"token-44-characters", ConsentConfirmed, "token *\n", "token " + zeroHash[:43] + "A\n", "line 9: token: want 43 characters", "a token has 43 characters"},
	{"token-padded", ConsentConfirmed, "token *\n", "token " + zeroHash + "\n", "line 9: token: want 43 characters", "a token is not padded"},
	{"token-standard-alphabet", ConsentConfirmed, "token *\n", "token +" + zeroHash[1:43] + "\n", "line 9: token: want 43 characters", "a token is base64url"},
	{"token-unused-bits", ConsentConfirmed, "token *\n", "token " + zeroHash[:42] + "B\n", "line 9: token: want 43 characters", "the unused bits of the last character are zero"},
	{"part-0", ConsentConfirmed, "consent 7 after 7\n", "part 0 of 2\nconsent 7 after 7\n", "line 7: part: want <i> of <n>", "parts count from 1"},
	{"part-3-of-2", ConsentConfirmed, "consent 7 after 7\n", "part 3 of 2\nconsent 7 after 7\n", "line 7: part: want <i> of <n>", "there are only two parts"},
	{"part-1-of-1", ConsentConfirmed, "consent 7 after 7\n", "part 1 of 1\nconsent 7 after 7\n", "line 7: part: want <i> of <n>", "an entry that stands alone has no part line"},
	{"part-1-of-10000", ConsentConfirmed, "consent 7 after 7\n", "part 1 of 10000\nconsent 7 after 7\n", "line 7: part: want <i> of <n>", "there are at most 9,999 parts"},
	{"part-slash", ConsentConfirmed, "consent 7 after 7\n", "part 1/2\nconsent 7 after 7\n", "line 7: part: want <i> of <n>", "a part is written i of n"},
	{"part-after-consent", ConsentConfirmed, "consent 8 after 8\n", "consent 8 after 8\npart 1 of 2\n", `line 9: want a line "token"`, "the lines are in another order"},
	{"commits-in-part-2", ConsentConfirmed, "consent 7 after 7\n", "part 2 of 2\nconsent 7 after 7\n", "line 11: commit: stands in part 1 only", "commitments stand in part 1"},

	{"method-twice", ConsentWithdrawn, "method one_click\n", "method one_click\nmethod link\n", "line 10: unexpected line", "the line stands twice"},
	{"withdrawn-with-token", ConsentWithdrawn, "method one_click\n", "token " + zeroHash[:43] + "\n", "line 9: unexpected line", "only confirmed and rejected reveal a token"},
	{"objection-purpose-when-changing", ObjectionRecorded, "source shop-frontend\n", "source shop-frontend\nconsent 0 after 0\npurpose newsletter\n", "line 8: unexpected line", "an objection to a consent has no purpose of its own"},
	{"part-of-opening", ObjectionRecorded, "@opening", "part 1 of 2\n", "line 7: part: there is no list", "an opening entry has no list"},
	{"opening-without-channel", ObjectionRecorded, "@opening-channel", "", `line 8: want a line "channel"`, "the line is missing"},
	{"ground-unknown", RestrictionSet, "ground art18_1_a", "ground art18", "line 8: ground: not a ground", "not a word of the vocabulary"},
	{"restriction-lifted-with-ground", RestrictionLifted, "consent 7 after 21\n", "consent 7 after 21\nground art18_1_a\n", `line 8: want a line "informed"`, "lifting has no ground"},
	{"reason-unknown", SubjectErased, "reason art17", "reason because", "line 10: reason: not a reason", "not a word of the vocabulary"},
	{"erased-with-commit", SubjectErased, "reason art17\n", "reason art17\ncommit email " + zeroHash + "\n", "line 11: commit: subject.erased has no claims", "the kind has no claims"},
	{"refers-itself", EvidenceShredded, "refers 27\n", "refers 28\n", "line 8: refers: not an earlier entry", "only earlier entries can be referred to"},
	{"refers-not-ascending", EvidenceShredded, "refers 27\n", "refers 26\n", "line 8: refers: not ascending", "the lines are strictly ascending"},
	{"refers-missing", EvidenceShredded, "refers 26\nrefers 27\n", "", `line 7: want a line "refers"`, "the line is missing"},
	{"generation-0", EvidenceShredded, "generation 2", "generation 0", "line 9: generation: want at least 1", "generations count from 1"},
	{"medium-unknown", EvidenceShredded, "medium file", "medium paper", "line 10: medium: not a medium", "not a word of the vocabulary"},
	{"contents-without-due", EvidenceShredded, "existence_due *\n", "", `line 12: want a line "existence_due"`, "the two lines stand together"},
	{"due-without-contents", EvidenceShredded, "contents_destroyed *\n", "", `line 11: want a line "existence_destroyed"`, "the two lines stand together"},
	{"due-before-contents", EvidenceShredded, "contents_destroyed *\n", "existence_due 2026-11-24T22:36:28Z\ncontents_destroyed 2026-11-21T22:36:28Z\n", `line 11: want a line "existence_destroyed"`, "the lines are in another order"},
	{"contents-and-existence", EvidenceShredded, "existence_due *\n", "existence_due 2026-11-24T22:36:28Z\nexistence_destroyed 2026-11-24T22:36:28Z\n", "line 13: unexpected line", "an entry is about one of the two dates"},
	{"neither-date", EvidenceShredded, "contents_destroyed 2026-11-21T22:36:28Z\nexistence_due *\n", "", `line 11: want a line "existence_destroyed"`, "an entry is about one of the two dates"},
	{"existence-due-micros", EvidenceShredded, "existence_due *\n", "existence_due 2026-11-24T22:36:28.000000Z\n", "line 12: existence_due: want a time like", "the line has no decimals"},
	{"shredded-with-about", EvidenceShredded, "source ledger\n", "source ledger\nabout 7\n", "line 7: about: this kind mentions no consent", "erasures are referred to, not their consents"},

	{"lock-days-0", PurposeDefined, "token_lifetime 604800\n", "token_lifetime 604800\nlock_days 0\n", "line 14: lock_days: want at least 1", "days count from 1"},
	{"lock-days-twice", PurposeDefined, "token_lifetime 604800\n", "token_lifetime 604800\nlock_days 30\nlock_days 30\n", "line 15: unexpected line", "the line stands twice"},
	{"lapsed-days-before-lock-days", PurposeDefined, "token_lifetime 604800\n", "token_lifetime 604800\nlapsed_days 7\nlock_days 30\n", "line 15: unexpected line", "the lines are in another order"},
	{"lapsed-days-before-lifetime", PurposeDefined, "token_lifetime 604800\n", "lapsed_days 7\ntoken_lifetime 604800\n", `line 13: want a line "token_lifetime"`, "the lines are in another order"},
	{"unused-days-unit", PurposeDefined, "token_lifetime 604800\n", "token_lifetime 604800\nunused_days 730d\n", "line 14: unused_days: want a decimal number", "numbers are decimal"},
	{"unused-measure-unknown", PurposeDefined, "token_lifetime 604800\n", "token_lifetime 604800\nunused_measure shred\n", "line 14: unused_measure: want warn, block or expire", "not a word of the vocabulary"},
	{"evidence-days-after-commit", PurposeDefined, "token_lifetime 604800\n", "token_lifetime 604800\ncommit title " + zeroHash + "\nevidence_days 1096\n", "line 15: unexpected line", "the lines are in another order"},

	{"expired-without-lock", RequestExpired, "lock *\n", "", `line 8: want a line "lock"`, "the line is missing"},
	{"expired-with-token", RequestExpired, "lock *\n", "token " + zeroHash[:43] + "\n", `line 8: want a line "lock"`, "only confirmed and rejected reveal a token"},
	{"expired-with-occurred", RequestExpired, "consent 14 after 24\n", "consent 14 after 24\noccurred 2028-11-21T22:36:39Z\n", "line 8: occurred: request.expired has no such line", "it happens when the ledger records it"},
	{"consent-expired-with-reason", ConsentExpired, "consent 32 after 33\n", "consent 32 after 33\nreason retention\n", "line 8: unexpected line", "the kind has no own lines"},
	{"consent-expired-of-nothing", ConsentExpired, "consent 32 after 33\n", "", `line 7: want a line "consent"`, "the line is missing"},
	{"cause-unknown", ConsentRevoked, "cause rectified", "cause mistake", "line 8: cause: not a cause", "not a word of the vocabulary"},
	{"cause-missing", ConsentRevoked, "cause rectified\n", "", `line 8: want a line "cause"`, "the line is missing"},
	{"until-missing", SubjectLocked, "until *\n", "", `line 9: want a line "until"`, "the line is missing"},
	{"until-a-day", SubjectLocked, "until *\n", "until 2031-11-21\n", "line 9: until: want a time like", "a second, not a day"},
	{"until-before-reason", SubjectLocked, "reason consent_withdrawn\n", "until 2031-11-21T22:36:44Z\nreason consent_withdrawn\n", `line 8: want a line "reason"`, "the lines are in another order"},
	{"locked-with-commit", SubjectLocked, "until *\n", "until 2031-11-21T22:36:44Z\ncommit email " + zeroHash + "\n", "line 10: commit: subject.locked has no claims", "the kind has no claims"},
	{"change-unknown", SubjectRectified, "change replaced", "change corrected", "line 9: change: not a change", "not a word of the vocabulary"},
	{"change-missing", SubjectRectified, "change replaced\n", "", `line 9: want a line "change"`, "the line is missing"},
	{"rectified-with-consent", SubjectRectified, "about 34\n", "consent 34 after 35\n", "line 7: consent: this kind changes no consent", "the kind mentions"},
	{"hold-with-refers", HoldSet, "about 36\n", "about 36\nrefers 7\n", "line 9: unexpected line", "only lifting refers"},
	{"hold-with-occurred", HoldSet, "about 36\n", "about 36\noccurred 2028-11-21T22:36:46Z\n", "line 9: occurred: hold.set has no such line", "a hold lies from its entry on"},
	{"hold-of-nothing", HoldSet, "about 34\nabout 36\n", "", `line 7: want a line "about"`, "the line is missing"},
	{"hold-lifted-without-refers", HoldLifted, "refers 46\n", "", `line 9: want a line "refers"`, "the line is missing"},
	{"hold-lifted-two-at-once", HoldLifted, "refers 46\n", "refers 45\nrefers 46\n", "line 10: unexpected line", "one hold is lifted by one entry"},
	{"hold-lifted-later", HoldLifted, "refers 46\n", "refers 48\n", "line 9: refers: not an earlier entry", "only earlier entries can be referred to"},
	{"rule-unknown", RetentionApplied, "rule unused", "rule old", "line 8: rule: not a rule of retention", "not a word of the vocabulary"},
	{"measure-unknown", RetentionApplied, "measure expire", "measure warn", "line 9: measure: not a measure", "not a word of the vocabulary"},
	{"measure-before-rule", RetentionApplied, "rule unused\nmeasure expire\n", "measure expire\nrule unused\n", `line 8: want a line "rule"`, "the lines are in another order"},
	{"suppression-without-purpose", SuppressionAdded, "purpose all-marketing\n", "", `line 7: want a line "purpose"`, "the line is missing"},
	{"suppression-with-commit", SuppressionAdded, "purpose all-marketing\n", "purpose all-marketing\ncommit email " + zeroHash + "\n", "line 8: commit: suppression.added has no claims", "nothing says whose address it is"},
	{"suppression-about", SuppressionRemoved, "source shop-frontend\n", "source shop-frontend\nabout 7\n", "line 7: about: this kind mentions no consent", "nothing says whose address it is"},
	{"state-root-missing", StateCommitted, "state_root *\n", "", `line 7: want a line "state_root"`, "the line is missing"},
	{"state-root-unused-bits", StateCommitted, "state_root *\n", "state_root " + zeroHash[:42] + "B=\n", "line 7: state_root: want 32 bytes", "the unused bits of the last character are zero"},
}

func manyAbout() string {
	var b strings.Builder
	for i := range 1800 {
		fmt.Fprintf(&b, "about %d\n", 1000+i)
	}
	return b.String()
}

func manyCovers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "covers p%02d\n", i)
	}
	return b.String()
}

// replaceForTest replaces from, which must stand in text; a `*` in it stands
// for the rest of a line, and alone for all of the text.
func replaceForTest(t *testing.T, text, from, to string) string {
	t.Helper()
	if from == "*" {
		return to
	}
	before, after, wild := strings.Cut(from, "*")
	i := strings.Index(text, before)
	if i < 0 {
		t.Fatalf("the good entry has no %q:\n%s", from, text)
	}
	rest := text[i+len(before):]
	if wild {
		rest = rest[strings.IndexByte(rest, '\n'):]
		after, ok := strings.CutPrefix(rest, after[:1])
		if !ok {
			t.Fatalf("the good entry has no %q:\n%s", from, text)
		}
		rest = after
	}
	if _, more, _ := strings.Cut(from, "*"); len(more) > 1 {
		t.Fatalf("%q: nothing can follow the line", from)
	}
	return text[:i] + to + rest
}

// badText gives the text of a bad entry; good holds the first entry of each
// kind, and under the name of the kind and "/opening" an opening objection.
func (v badEntry) badText(t *testing.T, good map[string]string) string {
	text := good[string(v.kind)]
	switch {
	case v.from == "@opening":
		return replaceForTest(t, good[string(v.kind)+"/opening"], "source shop-frontend\n", "source shop-frontend\n"+v.to)
	case v.from == "@opening-channel":
		return replaceForTest(t, good[string(v.kind)+"/opening"], "channel any\n", "")
	case v.to == "@drop-commits":
		return text[:strings.Index(text, "commit ")]
	}
	return replaceForTest(t, text, v.from, v.to)
}

// TestVectorsEntries checks the golden entries: every entry of the story, and
// every way of being bad.
func TestVectorsEntries(t *testing.T) {
	good := map[string]string{}
	var index []vector
	files := filesForTest{}
	for i, text := range storyForTest(t).texts {
		e, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		kind := string(e.Kind)
		if e.Kind == ObjectionRecorded && len(e.Consents) == 0 {
			kind += "/opening"
		}
		if good[kind] == "" {
			good[kind] = string(text)
		}
		for _, variant := range entryVariants {
			kind, line, _ := strings.Cut(string(variant), "/")
			if kind == string(e.Kind) && good[string(variant)] == "" && strings.Contains(string(text), "\n"+line+" ") {
				good[string(variant)] = string(text)
			}
		}
		path := fmt.Sprintf("good/%02d-%s.txt", i, e.Kind)
		files[path] = text
		index = append(index, vector{Name: fmt.Sprintf("good-%02d", i), Files: []string{path}, Verdict: Verified.String(),
			Reason: "entry " + fmt.Sprint(i) + " of the log story.tar, " + string(e.Kind)})
	}
	for _, v := range slices.Concat(badEntries, badTerms, badRights, badKeys) {
		path := "bad/" + v.name + ".txt"
		text := v.badText(t, good)
		if text == good[string(v.kind)] {
			t.Fatalf("%s is not bad", v.name)
		}
		files[path] = []byte(text)
		verdict := Invalid
		if strings.Contains(v.err, ErrNewer.Error()) {
			verdict = CannotTell
		}
		index = append(index, vector{Name: v.name, Files: []string{path}, Verdict: verdict.String(), Error: v.err, Reason: v.reason})
	}
	checkFamily(t, "entries", index, files)
	rows, read := readFamily(t, "entries")
	for _, v := range rows {
		_, err := ParseEntry(read(v.Files[0]))
		v.check(t, err, nil)
	}
}
