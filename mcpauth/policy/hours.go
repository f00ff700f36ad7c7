package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours is a window that opens on some days of the week, for [During]. What counts is what a clock on a
// wall in Zone shows. On the day when the clock goes forward, the hour that it leaves out is in no
// window; when it goes back, the hour that it shows twice is in its window both times.
type Hours struct {
	Zone *time.Location // whose clock it is; required

	Days []time.Weekday // on which the window opens; nil: every day; empty: none

	// From is the first minute of the window and To the first one after it, as "08:00" and "18:00".
	// Both are required. To may be "24:00". If To comes before From, the window ends on the next day.
	From, To string

	// Except reports the days on which it does not open, such as holidays. It gets noon, in Zone, of the
	// day on which the window would open. Nil: none.
	Except func(day time.Time) bool
}

// Workdays returns Monday to Friday, for Hours.Days.
func Workdays() []time.Weekday {
	return []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
}

const wholeDay = 24 * 60 // minutes

// During holds within the hours. Call.Time is the time; it cannot be told without one. For several windows
// write [Or]. It panics if a field is missing or is none that it describes.
func During(h Hours) Condition {
	if h.Zone == nil {
		panic("policy: During: Zone is nil; write time.UTC, or what time.LoadLocation returns")
	}
	from, to := minutes("From", h.From), minutes("To", h.To)
	if from == to || from == wholeDay {
		panic(fmt.Sprintf("policy: During: From %s To %s is no window; a whole day is 00:00 to 24:00", h.From, h.To))
	}
	days := h.Days
	if days == nil {
		days = []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	}
	if len(days) == 0 {
		return Condition{} // a list that is empty by accident opens nothing
	}
	var opens [7]bool
	for _, day := range days {
		if day < time.Sunday || day > time.Saturday {
			panic(fmt.Sprintf("policy: During: Days: %d is no weekday", int(day)))
		}
		opens[day] = true
	}
	return leaf(h.text(), func(q question) answer {
		if q.call.Time.IsZero() {
			return doubts("the Call has no time")
		}
		clock := q.call.Time.In(h.Zone)
		now := clock.Hour()*60 + clock.Minute()
		back := 0 // days since the window opened
		inside := from <= now && now < to
		if to < from {
			inside = now >= from || now < to
			if now < to {
				back = 1
			}
		}
		if !inside || !opens[(int(clock.Weekday())+7-back)%7] {
			return fails("it is " + clock.Format("Mon 15:04 MST"))
		}
		if h.Except != nil {
			year, month, day := clock.Date()
			if opening := time.Date(year, month, day-back, 12, 0, 0, 0, h.Zone); h.Except(opening) {
				return fails("it is " + clock.Format("Mon 15:04 MST") + ", and " + opening.Format(time.DateOnly) + " is an exception")
			}
		}
		return holds()
	})
}

// minutes reads a time of day.
func minutes(field, text string) int {
	if text == "24:00" {
		return wholeDay
	}
	clock, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		panic(fmt.Sprintf("policy: During: %s is %q; write hours and minutes with two digits each, such as 08:00", field, text))
	}
	return clock.Hour()*60 + clock.Minute()
}

func (h Hours) text() string {
	var b strings.Builder
	b.WriteString("during(")
	days := slices.Clone(h.Days)
	slices.Sort(days)
	for _, day := range slices.Compact(days) {
		b.WriteString(day.String()[:3] + " ")
	}
	b.WriteString(h.From + "-" + h.To + " " + h.Zone.String())
	if h.Except != nil {
		b.WriteString(" with exceptions")
	}
	b.WriteByte(')')
	return b.String()
}
