package policy_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same everywhere

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

var (
	utc    = time.UTC
	noDays = []time.Weekday{}
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return when
}

func TestDuring(t *testing.T) {
	friday := []time.Weekday{time.Friday}
	for _, tt := range []struct {
		name     string
		zone     string
		days     []time.Weekday
		from, to string
		when     string
		inside   bool
	}{
		{"the first instant", "UTC", nil, "08:00", "18:00", "2026-06-01T08:00:00Z", true},
		{"the one before", "UTC", nil, "08:00", "18:00", "2026-06-01T07:59:59.999999999Z", false},
		{"the last instant", "UTC", nil, "08:00", "18:00", "2026-06-01T17:59:59.999999999Z", true},
		{"the end is outside", "UTC", nil, "08:00", "18:00", "2026-06-01T18:00:00Z", false},
		{"the whole day, at its end", "UTC", nil, "00:00", "24:00", "2026-06-01T23:59:59Z", true},
		{"the whole day, at its beginning", "UTC", nil, "00:00", "24:00", "2026-06-01T00:00:00Z", true},
		{"the zone decides, not the offset of the time", "Europe/Berlin", nil, "08:00", "18:00", "2026-06-01T19:30:00+05:00", true},
		{"summer time in Berlin", "Europe/Berlin", nil, "08:00", "18:00", "2026-06-01T06:00:00Z", true},
		{"winter time in Berlin", "Europe/Berlin", nil, "08:00", "18:00", "2026-12-01T06:00:00Z", false},
		{"a zone with half an hour", "Asia/Kolkata", nil, "08:00", "18:00", "2026-06-01T02:30:00Z", true},
		{"a zone with half an hour, before", "Asia/Kolkata", nil, "08:00", "18:00", "2026-06-01T02:29:59Z", false},
		{"a zone with three quarters", "Asia/Kathmandu", nil, "08:00", "18:00", "2026-06-01T02:15:00Z", true},

		{"the day is that of the zone", "America/New_York", friday, "20:00", "24:00", "2026-06-06T01:00:00Z", true},
		{"and not that of UTC", "America/New_York", friday, "20:00", "24:00", "2026-06-05T01:00:00Z", false},
		{"another day", "UTC", friday, "00:00", "24:00", "2026-06-06T00:00:00Z", false},

		{"over midnight, in the evening", "UTC", friday, "22:00", "06:00", "2026-06-05T22:00:00Z", true},
		{"over midnight, in the morning after", "UTC", friday, "22:00", "06:00", "2026-06-06T05:59:59Z", true},
		{"over midnight, at the end", "UTC", friday, "22:00", "06:00", "2026-06-06T06:00:00Z", false},
		{"over midnight, in the morning of the day itself", "UTC", friday, "22:00", "06:00", "2026-06-05T05:00:00Z", false},
		{"over midnight, in the evening after", "UTC", friday, "22:00", "06:00", "2026-06-06T22:00:00Z", false},
		{"over midnight, by day", "UTC", nil, "22:00", "06:00", "2026-06-05T12:00:00Z", false},
		{"up to midnight, written as zero", "UTC", friday, "22:00", "00:00", "2026-06-05T23:59:00Z", true},
		{"up to midnight, and after it", "UTC", friday, "22:00", "00:00", "2026-06-06T00:00:00Z", false},
		{"from Saturday into Sunday", "UTC", []time.Weekday{time.Saturday}, "22:00", "06:00", "2026-06-07T01:00:00Z", true},

		// Berlin, 2026-03-29: 01:59:59 is followed by 03:00:00.
		{"Berlin, before the lost hour", "Europe/Berlin", nil, "02:00", "03:00", "2026-03-29T00:59:59Z", false},
		{"Berlin, the lost hour is in no window", "Europe/Berlin", nil, "02:00", "03:00", "2026-03-29T01:00:00Z", false},
		{"Berlin, a window around it goes on", "Europe/Berlin", nil, "01:30", "03:30", "2026-03-29T01:29:59Z", true},
		{"Berlin, and ends by the clock", "Europe/Berlin", nil, "01:30", "03:30", "2026-03-29T01:30:00Z", false},
		{"Berlin, one that opens within it opens after it", "Europe/Berlin", nil, "02:30", "04:00", "2026-03-29T01:00:00Z", true},
		// Berlin, 2026-10-25: 02:59:59 summer time is followed by 02:00:00.
		{"Berlin, the hour that comes twice, first", "Europe/Berlin", nil, "02:00", "03:00", "2026-10-25T00:00:00Z", true},
		{"Berlin, the hour that comes twice, second", "Europe/Berlin", nil, "02:00", "03:00", "2026-10-25T01:59:59Z", true},
		{"Berlin, after both", "Europe/Berlin", nil, "02:00", "03:00", "2026-10-25T02:00:00Z", false},
		{"Berlin, a night with 25 hours", "Europe/Berlin", []time.Weekday{time.Saturday}, "22:00", "06:00", "2026-10-25T04:59:59Z", true},
		{"Berlin, its end", "Europe/Berlin", []time.Weekday{time.Saturday}, "22:00", "06:00", "2026-10-25T05:00:00Z", false},
		// New York, 2026-03-08: 01:59:59 is followed by 03:00:00; 2026-11-01 goes back at 02:00.
		{"New York, the lost hour", "America/New_York", nil, "02:00", "03:00", "2026-03-08T07:00:00Z", false},
		{"New York, the opening after it", "America/New_York", nil, "03:00", "04:00", "2026-03-08T07:00:00Z", true},
		{"New York, the hour that comes twice, first", "America/New_York", nil, "01:00", "02:00", "2026-11-01T05:30:00Z", true},
		{"New York, the hour that comes twice, second", "America/New_York", nil, "01:00", "02:00", "2026-11-01T06:30:00Z", true},
		{"New York, after both", "America/New_York", nil, "01:00", "02:00", "2026-11-01T07:00:00Z", false},
		// Lord Howe Island moves by half an hour: 2026-10-04, 01:59:59 is followed by 02:30:00.
		{"Lord Howe, the lost half hour", "Australia/Lord_Howe", nil, "02:00", "02:30", "2026-10-03T15:30:00Z", false},
		{"Lord Howe, the half hour after it", "Australia/Lord_Howe", nil, "02:30", "03:00", "2026-10-03T15:30:00Z", true},
		// Cairo goes forward at midnight: 2026-04-24 has no 00:00.
		{"Cairo, a day without midnight", "Africa/Cairo", friday, "00:00", "24:00", "2026-04-23T22:00:00Z", true},
		{"Cairo, the night before it", "Africa/Cairo", []time.Weekday{time.Thursday}, "22:00", "02:00", "2026-04-23T22:59:00Z", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := policy.During(policy.Hours{Zone: zone(t, tt.zone), Days: tt.days, From: tt.from, To: tt.to})
			call := tool("t", "")
			call.Time = at(t, tt.when)
			require.Equal(t, tt.inside, c.Check(t.Context(), call) == nil, "%v: %v", c, c.Check(t.Context(), call))
			require.Equal(t, tt.inside, c.List(t.Context(), call) == nil)
			require.Equal(t, !tt.inside, policy.Not(c).Check(t.Context(), call) == nil)
		})
	}
}

// On every minute of the days on which clocks change, the window is what the clock on the wall shows, and
// the windows of all hours of a day share no minute and leave none out.
func TestDuring_EveryMinuteIsInOneWindow(t *testing.T) {
	hours := []string{"00:00", "04:30", "11:00", "17:15", "22:00"}
	for name, day := range map[string]string{
		"Europe/Berlin": "2026-03-29T00:00:00Z", "America/New_York": "2026-11-01T00:00:00Z", "Asia/Kolkata": "2026-06-01T00:00:00Z",
		"Australia/Lord_Howe": "2026-10-03T12:00:00Z", "Africa/Cairo": "2026-04-23T12:00:00Z", "America/St_Johns": "2026-03-08T00:00:00Z",
	} {
		var windows []policy.Condition
		for i := range hours {
			windows = append(windows, policy.During(policy.Hours{Zone: zone(t, name), From: hours[i], To: hours[(i+1)%len(hours)]}))
		}
		for m := range 36 * 60 {
			call := tool("t", "")
			call.Time = at(t, day).Add(time.Duration(m) * time.Minute)
			in := 0
			for _, w := range windows {
				if w.Check(t.Context(), call) == nil {
					in++
				}
			}
			require.Equal(t, 1, in, "%s %v", name, call.Time)
		}
	}
}

func TestDuring_Exceptions(t *testing.T) {
	var asked []string
	c := policy.During(policy.Hours{Zone: zone(t, "Europe/Berlin"), From: "22:00", To: "06:00", Except: func(day time.Time) bool {
		asked = append(asked, day.Format("2006-01-02 15:04 MST"))
		return day.Month() == time.December && day.Day() == 24
	}})
	call := tool("t", "")
	for when, inside := range map[string]bool{
		"2026-12-24T22:00:00+01:00": false,
		"2026-12-25T05:00:00+01:00": false, // the night of the 24th
		"2026-12-24T05:00:00+01:00": true,  // the night of the 23rd
		"2026-12-25T22:00:00+01:00": true,
		"2027-01-01T01:00:00+01:00": true, // the night of December 31st
	} {
		call.Time = at(t, when)
		require.Equal(t, inside, c.Check(t.Context(), call) == nil, when)
	}
	require.Contains(t, asked, "2026-12-31 12:00 CET")
	asked = nil
	call.Time = at(t, "2026-12-24T12:00:00+01:00")
	require.ErrorContains(t, c.Check(t.Context(), call), "it is Thu 12:00 CET")
	require.Empty(t, asked, "only within the window")
	call.Time = at(t, "2026-12-24T23:00:00+01:00")
	require.ErrorContains(t, c.Check(t.Context(), call), "2026-12-24 is an exception")

	broken := policy.During(policy.Hours{Zone: utc, From: "00:00", To: "24:00", Except: func(time.Time) bool { panic("no calendar") }})
	require.Equal(t, "doubt", verdict(t, broken, call))
}
