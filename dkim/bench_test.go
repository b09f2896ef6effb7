package dkim

import (
	"testing"
	"time"

	"waxwing/message"
)

// BenchmarkParseSignature reads a field as large signers write it, without looking at key or message.
func BenchmarkParseSignature(b *testing.B) {
	f := message.Field{Name: "DKIM-Signature", Raw: []byte("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=s1.signed.example; s=sel; t=1764600000;\r\n" +
		"\th=from:to:subject:date:message-id:mime-version:content-type:list-unsubscribe:\r\n\tcc:reply-to:in-reply-to:references;\r\n" +
		"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=" +
		"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n\t QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n" +
		"\t QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n\t QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n" +
		"\t QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n")}
	now := time.Unix(1764600000, 0)
	b.ReportAllocs()
	for b.Loop() {
		if s := parseSignature(f, now); s.Err != nil {
			b.Fatal(s.Err)
		}
	}
}
