package jwt

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTOK10_NumericDates(t *testing.T) {
	last := time.Unix(lastSecond, 0)
	tests := []struct {
		text string
		want time.Time
	}{
		{"0", time.Unix(0, 0)}, {"-0", time.Unix(0, 0)}, {"-0.000", time.Unix(0, 0)}, {"0e99999999999", time.Unix(0, 0)},
		{"1767225600", time.Unix(1767225600, 0)}, {"1767225600.000000001", time.Unix(1767225600, 1)},
		{"1767225600.9999999999999", time.Unix(1767225600, 999999999)}, {"1.7672256e9", time.Unix(1767225600, 0)},
		{"1.7672256E+9", time.Unix(1767225600, 0)}, {"17672256000e-1", time.Unix(1767225600, 0)}, {"0.00017672256e13", time.Unix(1767225600, 0)},
		{"0." + strings.Repeat("0", 9000) + "1e9010", time.Unix(1_000_000_000, 0)},
		{"1" + strings.Repeat("0", 9000) + "e-8991", time.Unix(1_000_000_000, 0)},
		{"-1.5", time.Unix(-2, 500_000_000)}, {"1e-10", time.Unix(0, 0)}, {"-1e-99999999999999", time.Unix(0, 0)},
		{"253402300799.9", time.Unix(253402300799, 900_000_000)}, {"253402300800", last}, {"1e18", last}, {"999999999999999999.9", last},
		{"-1e18", time.Unix(firstSecond, 0)}, {"1000000000000000000.000", last},
	}
	for _, tt := range tests {
		got, err := parseDate(tt.text)
		require.NoError(t, err, tt.text)
		require.True(t, got.Equal(tt.want), "%s: got %v", tt.text, got)
	}
	for _, text := range []string{
		"1000000000000000001", "1000000000000000000.1", "9.3e18", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e19",
		"1e400", "1e1000001", "1e10000000", "1e18446744073709551616", "-1e300", "1e9223372036854775808", "36893488147419103232", strings.Repeat("9", 10_000),
	} {
		_, err := parseDate(text)
		require.ErrorIs(t, err, errDate, text)
	}
}

// FuzzNumericDate compares with exact arithmetic: a date is the number without what is finer than a
// nanosecond, or refused beyond 1e18.
func FuzzNumericDate(f *testing.F) {
	f.Add(false, "1767225600", "", int16(0))
	f.Add(false, "1", "7672256", int16(9))
	f.Add(true, "999999999999999999", "9999999999", int16(0))
	f.Add(false, "1000000000000000000", "0000000001", int16(0))
	f.Add(false, "0", "00000000000000000001", int16(38))
	f.Add(true, "9", "3", int16(18))
	f.Add(false, "1", "", int16(400))
	f.Add(true, "123456789", "987654321987", int16(-300))
	f.Fuzz(func(t *testing.T, negative bool, whole, fraction string, exponent int16) {
		// Only numbers of RFC 8259 reach parseDate.
		if strings.Trim(whole+fraction, "0123456789") != "" || whole == "" || len(whole) > 1 && whole[0] == '0' || len(whole)+len(fraction) > 2000 {
			return
		}
		text := whole
		if negative {
			text = "-" + text
		}
		if fraction != "" {
			text += "." + fraction
		}
		if exponent != 0 {
			text += "e" + big.NewInt(int64(exponent)).String()
		}
		exact, ok := new(big.Rat).SetString(text)
		require.True(t, ok, text)
		got, err := parseDate(text)

		bound := new(big.Rat).SetInt64(maxSeconds)
		if new(big.Rat).Abs(exact).Cmp(bound) > 0 {
			require.ErrorIs(t, err, errDate, text)
			return
		}
		require.NoError(t, err, text)
		nanos := new(big.Int).Quo(new(big.Int).Mul(exact.Num(), big.NewInt(1e9)), exact.Denom())
		sec, rest := new(big.Int).QuoRem(nanos, big.NewInt(1e9), new(big.Int))
		want := time.Unix(sec.Int64(), rest.Int64())
		if sec.Int64() > lastSecond {
			want = time.Unix(lastSecond, 0)
		} else if sec.Int64() < firstSecond {
			want = time.Unix(firstSecond, 0)
		}
		require.True(t, got.Equal(want), "%s: got %v, want %v", text, got, want)
	})
}
