package readers

import (
	"fmt"
	"strings"
)

// letter is the i-th message of an author, in one of several shapes.
func letter(author string, i int) string {
	head := fmt.Sprintf("From: =?utf-8?q?J=C3=B6rg?= <%s@example.net>\r\nTo: joe@example.test\r\nDate: Sat, 24 Mar 2007 23:%02d:%02d +0200\r\nMessage-ID: <%d.%s@example.net>\r\n",
		author, i/60%60, i%60, i, author)
	subject := func(s string) string { return head + "Subject: " + s + "\r\n" }
	switch i % 10 {
	case 0:
		return subject("plain") + "\r\nhow are you?\r\n"
	case 1:
		return subject("no line end") + "\r\nthe last line ends with the message"
	case 2:
		return subject("=?utf-8?b?R3LDvMOfZQ==?=") + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße aus Köln, 日本語\r\n"
	case 3:
		return subject("dots and From") + "\r\n.\r\n..\r\nFrom the start\r\n>From before\r\n.\r\n"
	case 4:
		return subject("alternative") + "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\nthis is MIME\r\n--=_b\r\nContent-Type: text/plain\r\n\r\ntext\r\n" +
			"--=_b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.html\r\n\r\n<p>text</p>\r\n--=_b--\r\n"
	case 5:
		return subject("long") + "\r\n" + strings.Repeat("a line of the long message, which is several buffers long\r\n", 300+i%7*100)
	case 6:
		return subject("a long line") + "\r\n" + strings.Repeat("0123456789", 300) + "\r\n"
	case 7:
		return subject("raw \xfcmlauts, not of any encoding") + "\r\n\xe4\xf6\xfc\r\n"
	case 8:
		return subject("a \"quoted\" \\ subject {12}") + "In-Reply-To: <" + fmt.Sprint(i-1) + "." + author + "@example.net>\r\nReferences: <a@b>\r\n\t<c@d>\r\n\r\n{12}\r\n* OK\r\n)\r\n"
	}
	return subject("forwarded") + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" +
		"From: a@b\r\nSubject: within\r\n\r\nwithin\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b--\r\n"
}
