package ledger

import (
	"testing"
	"time"
)

// TestAnswerDue holds the clock of Art. 12(3) GDPR to a table by hand: the same day
// of a later month, or that month's last, to its end.
func TestAnswerDue(t *testing.T) {
	for _, v := range []struct {
		received string
		months   int
		want     string
	}{
		{"2026-11-21T22:36:10Z", 1, "2026-12-21"},
		{"2026-11-21T22:36:10Z", 3, "2027-02-21"},
		{"2026-11-21T00:00:00Z", 1, "2026-12-21"},
		{"2026-11-21T23:59:59Z", 1, "2026-12-21"},
		{"2026-12-01T08:00:00Z", 1, "2027-01-01"}, // a holiday lengthens nothing
		{"2026-12-31T08:00:00Z", 1, "2027-01-31"},
		// Months that lack the day.
		{"2027-01-28T12:00:00Z", 1, "2027-02-28"},
		{"2027-01-29T12:00:00Z", 1, "2027-02-28"},
		{"2027-01-30T12:00:00Z", 1, "2027-02-28"},
		{"2027-01-31T12:00:00Z", 1, "2027-02-28"},
		{"2027-03-31T12:00:00Z", 1, "2027-04-30"},
		{"2027-05-31T12:00:00Z", 1, "2027-06-30"},
		{"2027-08-31T12:00:00Z", 1, "2027-09-30"},
		{"2026-11-30T12:00:00Z", 3, "2027-02-28"},
		{"2027-08-31T12:00:00Z", 3, "2027-11-30"},
		// Leap years, and a century that is none.
		{"2028-01-29T12:00:00Z", 1, "2028-02-29"},
		{"2028-01-31T12:00:00Z", 1, "2028-02-29"},
		{"2027-11-30T12:00:00Z", 3, "2028-02-29"},
		{"2028-02-29T12:00:00Z", 1, "2028-03-29"},
		{"2027-12-31T23:59:59Z", 3, "2028-03-31"},
		{"2028-02-28T12:00:00Z", 12, "2029-02-28"},
		{"2028-02-29T12:00:00Z", 12, "2029-02-28"},
		{"2100-01-31T12:00:00Z", 1, "2100-02-28"},
		{"2400-01-31T12:00:00Z", 1, "2400-02-29"},
		// The day is that of UTC.
		{"2027-01-31T23:30:00-02:00", 1, "2027-03-01"},
		{"2027-03-01T00:30:00+01:00", 1, "2027-03-28"},
	} {
		received, err := time.Parse(time.RFC3339, v.received)
		if err != nil {
			t.Fatal(err)
		}
		if got := AnswerDue(received, v.months).Format(time.RFC3339Nano); got != v.want+"T23:59:59Z" {
			t.Errorf("received %s, after %d months it is due %s, want the end of %s", v.received, v.months, got, v.want)
		}
	}
}

// TestAnswerDueEveryDay compares every day of nine years with a calendar that is
// counted day by day.
func TestAnswerDueEveryDay(t *testing.T) {
	type month struct{ year, month int }
	days := map[month]int{} // how many days a month has
	for day := time.Date(2023, 12, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2034; day = day.Add(24 * time.Hour) {
		days[month{day.Year(), int(day.Month())}]++
	}
	for day := time.Date(2024, 1, 1, 13, 14, 15, 16000, time.UTC); day.Year() < 2033; day = day.Add(24 * time.Hour) {
		for months := 1; months <= 3; months++ {
			m := month{day.Year(), int(day.Month()) + months}
			if m.month > 12 {
				m = month{m.year + 1, m.month - 12}
			}
			want := time.Date(m.year, time.Month(m.month), min(day.Day(), days[m]), 23, 59, 59, 0, time.UTC)
			got := AnswerDue(day, months)
			if !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("received %v, after %d months it is due %v, want %v", day, months, got, want)
			}
		}
	}
}
