package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible makes what has no look of its own visible: control characters, those that
// turn the direction of writing or are not seen at all, and bytes that are not UTF-8.
// They are printed as codes, as in ⟨U+202E⟩, and so are the brackets of the codes
// themselves. shows says of other characters whether they can be shown.
func visible(s string, shows func(rune) bool) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "⟨%02X⟩", s[i])
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"): // an end of line, as in mails
		case r == '\n', r == '\t', r == ' ':
			b.WriteRune(r)
		case isHidden(r), !shows(r):
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII and ends of line only.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\n') || c > '~' {
			return false
		}
	}
	return true
}

// isHidden reports whether a character is not seen, or lets others be seen in another
// order than they stand. Joiners are not among them: writing of many languages needs
// them.
func isHidden(r rune) bool {
	switch r {
	case '⟨', '⟩', '\u200b', '\u2060', '\ufeff', '\u2028', '\u2029', '\u3164', '\u115f', '\u1160', '\uffa0':
		return true
	case '\u200c', '\u200d', '\u00ad':
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) ||
		0xe0000 <= r && r <= 0xe0fff || unicode.Is(unicode.Noncharacter_Code_Point, r)
}
