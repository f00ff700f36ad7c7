package jws

// ASN1 is appendASN1 into the space that Verify has.
func ASN1(sig []byte) []byte {
	var space [maxASN1]byte
	return appendASN1(space[:0], sig)
}
