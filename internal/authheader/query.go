package authheader

const queryName = "access_token"

// QueryToken reports whether a raw query holds an access_token parameter (RFC 6750, Section 2.3), with or without a value, its name
// percent-encoded or not. Such a token is never accepted here; one beside an Authorization field makes two credentials.
//
// It allocates nothing and looks at no more than 36 bytes of any one name. A ";" separates as "&" does: net/url refuses it, but what stands
// before or behind this server may still split there.
func QueryToken(rawQuery string) bool {
	for i := 0; i < len(rawQuery); {
		if isQueryName(rawQuery[i:]) {
			return true
		}
		for i < len(rawQuery) && rawQuery[i] != '&' && rawQuery[i] != ';' {
			i++
		}
		i++
	}
	return false
}

func isQueryName(s string) bool {
	for i := 0; i < len(queryName); i++ {
		if s == "" {
			return false
		}
		b := s[0]
		if b == '%' && len(s) >= 3 {
			hi, lo := unhex(s[1]), unhex(s[2])
			if hi > 15 || lo > 15 {
				return false
			}
			b, s = hi<<4|lo, s[2:]
		}
		if b != queryName[i] {
			return false
		}
		s = s[1:]
	}
	return s == "" || s[0] == '=' || s[0] == '&' || s[0] == ';'
}

// unhex returns a value above 15 for what is no hexadecimal digit.
func unhex(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10
	}
	return 0xff
}
