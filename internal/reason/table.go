package reason

func decisionWords() []Entry {
	return []Entry{
		{RequireTLS, Fact, Nobody, "the sender asked for REQUIRETLS (RFC 8689): only a trustworthy host name, a verified certificate and a host that offers REQUIRETLS will do", none},
		{RequireTLSNull, Fact, Nobody, "a bounce of a REQUIRETLS message: REQUIRETLS is used where offered, and does not stop the bounce", none},
		{TLSOptional, Fact, Nobody, "the message goes out whatever the state of TLS (TLS-Required: No, or a TLS report)", none},
		{Minimum, Fact, Operator, "the operator set a least security for this recipient domain", "change or remove the minimum if it asks for more than the domain can do"},
		{NoPlaintext, Fact, Nobody, "the server's configuration forbids plaintext to anybody", none},
		{AddressLiteral, Fact, Nobody, "the recipient's domain is an address literal, which can publish nothing", none},
		{MXSecure, Fact, Nobody, "DNSSEC secures the answer that names the hosts", none},
		{MXInsecure, Fact, Domain, "DNSSEC does not secure the answer that names the hosts, so DANE cannot apply", "sign the domain's zone; on the sending side, use a validating resolver that is trusted"},
		{DANENone, Fact, Nobody, "no TLSA records apply to the host", none},
		{DANEUsable, Fact, Nobody, "TLSA records apply to the host, and its certificate must match one", none},
		{DANERequired, Temporary, Domain, "the operator's minimum is DANE, and the host has no TLSA records secured by DNSSEC", "have the domain publish TLSA records, or lower the minimum"},
		{TLSAUnusable, Temporary, Host, "the host has TLSA records, none of which can be used for SMTP", "publish a record with usage 3 (or 2), such as 3 1 1, with a digest of the right length"},
		{STSNone, Fact, Nobody, "the domain has no MTA-STS", none},
		{STSModeNone, Fact, Nobody, "the domain's MTA-STS policy is in mode none: it asks for nothing", none},
		{STSTesting, Fact, Nobody, "the domain's MTA-STS policy is in mode testing: failures are reported and stop nothing", none},
		{STSEnforce, Fact, Nobody, "the domain's MTA-STS policy is in mode enforce: its hosts must present valid certificates", none},
		{STSMXMatch, Fact, Nobody, "the MTA-STS policy names the host", none},
		{STSMXMismatch, Temporary, Domain, "the MTA-STS policy does not name the host", "add the host to the policy and give the record a new id, or remove the host from the MX records"},
		{STSLookupFailed, Temporary, Domain, "the MTA-STS record could not be looked up, so nobody can say whether a policy applies", "repair the domain's DNS; the message waits"},
		{RequireTLSUntrustedName, Either, Domain, "REQUIRETLS was asked for, and neither DNSSEC nor an enforced MTA-STS policy vouches for the host's name", "sign the domain with DNSSEC or publish an enforced MTA-STS policy; or send without REQUIRETLS"},
		{RequireTLSNotOffered, Permanent, Sender, "REQUIRETLS was asked for, and the host does not offer it", "send without REQUIRETLS, or have the receiving side switch it on"},
		{RequireTLSUnverified, Permanent, Sender, "REQUIRETLS was asked for, and no host can be reached over verified TLS", "see what came of each host; or send without REQUIRETLS"},
		{NoName, Temporary, Sender, "a verified certificate is asked for, and an address literal has no name to verify", "write to a domain instead of an address"},
		{SeveralCauses, Either, Domain, "no host can be used, and not all for the same reason: each stands with its host", "see what is said of each host"},
		{NoHosts, Temporary, Domain, "no host is known for the domain", "check its MX and address records"},
		{Skipped, Fact, Nobody, "the host is not used", "the reason stands beside it"},
		{ExceptSTS, Fact, Operator, "the operator has set the domain's MTA-STS aside", "take the exception out of [[delivery.exceptions]] when its cause is mended"},
		{ExceptSTSLookup, Fact, Operator, "the MTA-STS record could not be looked up, and the operator lets that count as none", "take the exception out of [[delivery.exceptions]] when its cause is mended"},
		{ExceptDANE, Fact, Operator, "the operator has set the domain's DANE aside", "take the exception out of [[delivery.exceptions]] when its cause is mended"},
		{TLSRequired, Fact, Nobody, "nothing is sent without sound TLS (1.2 or later, no broken cipher), and what stands beside it is verified", none},
		{Opportunistic, Fact, Domain, "TLS is used where the host offers it, whatever its version, without verification", "publish TLSA records or an MTA-STS policy to have it verified"},
		{PlaintextFallback, Fact, Domain, "if TLS fails, the same host is tried once more without", "publish TLSA records or an MTA-STS policy, which forbid this"},
	}
}

func findingWords() []Entry {
	return []Entry{
		{NoSuchDomain, Permanent, Sender, "the domain does not exist", "check the address for typing errors"},
		{NullMX, Permanent, Sender, "the domain says that it takes no mail (null MX)", "there is no address to write to at this domain"},
		{MXUnusable, Permanent, Domain, "none of the domain's MX records names a host", "correct the MX records"},
		{MXSelf, Permanent, Operator, "the domain's best host is this server, which does not know the domain", "add the domain here, or correct its MX records"},
		{NoSuchHost, Permanent, Domain, "the host does not exist", "correct the MX record that names it"},
		{NoAddress, Either, Domain, "the host has no address", "publish an A or AAAA record for it"},
		{AddressRefused, Permanent, Domain, "all addresses of the host are private or reserved", "publish public addresses; in a closed network allow private ones in the configuration"},
		{DNSError, Temporary, Domain, "a DNS lookup failed", "try the lookup by hand; the message waits"},
		{DNSBogus, Temporary, Domain, "DNSSEC validation failed", "repair the zone's signatures; check it with a DNSSEC debugger"},
		{DNSTimeout, Temporary, Domain, "the DNS did not answer in time", "check the name servers of the domain and the resolver"},
		{DNSServfail, Temporary, Domain, "the resolver could not get an answer (SERVFAIL)", "check the name servers of the domain; for TLSA lookups also that they answer unknown types properly"},
		{DNSRefused, Temporary, Operator, "the resolver refused the question", "check the resolver's access rules"},
		{DNSIndeterminate, Temporary, Operator, "the resolver cannot say whether DNSSEC secures the answer", "use a validating resolver"},
		{STSNoRecord, Fact, Nobody, "the domain has no MTA-STS record", none},
		{STSMultipleRecords, Fact, Domain, "the domain has more than one MTA-STS record, so none counts", "remove all TXT records at _mta-sts but one"},
		{STSRecordSyntax, Fact, Domain, "the MTA-STS record is malformed, so it does not count", `write it as "v=STSv1; id=20260101"`},
		{STSNoPolicy, Fact, Domain, "there is an MTA-STS record, and no policy where it should be", "serve https://mta-sts.{domain}/.well-known/mta-sts.txt, or remove the record"},
		{STSFetch, Fact, Domain, "the MTA-STS policy could not be fetched", "open the policy's URL with a browser; it must answer 200 with text/plain and no redirect"},
		{STSWebPKI, Fact, Domain, "the certificate of the MTA-STS policy host is not valid", "renew it, for the name mta-sts.{domain}"},
		{STSPolicySyntax, Fact, Domain, "the MTA-STS policy is malformed", "correct the line named"},
		{DANENoMatch, Temporary, Host, "the host's certificate matches none of its TLSA records", "publish the new certificate's record before the certificate is changed, and remove the old one after"},
		{DANETAExpired, Temporary, Host, "a certificate between the host and its DANE trust anchor is out of its dates", "renew it"},
		{DANETANameMismatch, Temporary, Host, "the chain leads to the DANE trust anchor, and the certificate is for another name", "issue a certificate for the MX host's name"},
		{DANETAChain, Temporary, Host, "no valid chain leads from the host to its DANE trust anchor", "send all intermediate certificates and the anchor"},
	}
}

func connectionWords() []Entry {
	const waits = "the message waits, and the next host is tried"
	return []Entry{
		{ConnectRefused, Temporary, Host, "the host refused the connection", waits},
		{ConnectTimeout, Temporary, Host, "the host did not take the connection in time", "check that port 25 is open on both sides; " + waits},
		{ConnectUnreachable, Temporary, Host, "there is no way to the host's network", waits},
		{ConnectFailed, Temporary, Host, "the connection failed", waits},
		{AddressCrowded, Temporary, Nobody, "the host's address holds up as many deliveries of this server as one address may", "nothing to do: the message has its turn later, and it does not count as an attempt"},
		{ProgramBusy, Temporary, Operator, "the program that keeps the mailbox is slow: as many deliveries to it are under way as there may be", "see why it is slow; the message is tried again"},
		{ProxyFailed, Temporary, Operator, "the operator's proxy cannot be reached or refuses to work for this server", "see that the proxy runs, and what the transport says of its address, user and password; all mail that goes through it waits"},
		{GreetingReply, Temporary, Host, "the host greeted with something other than 220", waits},
		{HelloReply, Temporary, Host, "the host refused EHLO", waits},
		{ConnectionLost, Temporary, Host, "the host closed the connection", waits},
		{Timeout, Temporary, Host, "the host did not answer in time", waits},
		{ProtocolError, Temporary, Host, "the host's answer is no SMTP", waits},
		{StartTLSNotOffered, Temporary, Host, "the host does not offer STARTTLS", "switch TLS on at the host; something on the way may also have stripped the offer"},
		{StartTLSLost, Temporary, Host, "the connection was lost at STARTTLS", waits},
		{StartTLSTimeout, Temporary, Host, "the host did not answer STARTTLS in time", waits},
		{StartTLSProtocol, Temporary, Host, "the host's answer to STARTTLS is no SMTP", "check for something on the way that changes SMTP"},
		{StartTLSInjection, Temporary, Host, "the host sent more than its answer to STARTTLS before TLS began", "correct the host's software: somebody on the way could inject commands"},
		{TLSTimeout, Temporary, Host, "the TLS handshake took too long", waits},
		{TLSClosed, Temporary, Host, "the host closed the connection within the TLS handshake", "check the host's log and its TLS configuration"},
		{TLSNotTLS, Temporary, Host, "the host answered the TLS handshake with something else", "check for something on the way that changes SMTP"},
		{TLSVersion, Temporary, Host, "the host speaks no TLS version that will do: TLS 1.2 or 1.3 where TLS is required, 1.0 at least elsewhere", "update the host's TLS"},
		{TLSWeakCipher, Temporary, Host, "the host chose a cipher suite that is broken: RC4 or 3DES", "have the host offer AES or ChaCha20 and prefer them"},
		{TLSWeakSignature, Temporary, Host, "the host signed the TLS handshake with SHA-1", "update the host's TLS"},
		{TLSHandshake, Temporary, Host, "the TLS handshake failed", "check the host's TLS configuration"},
	}
}

func alertWords() []Entry {
	const ours = "have the host ask for no client certificate: servers that send mail to strangers have none it could know"
	return []Entry{
		{AlertHandshakeFailure, Temporary, Host, "the host found no cipher, key exchange or signature in common (TLS alert 40)", "compare the ciphers that the host is configured for, and whether its certificate's key fits them"},
		{AlertInsufficientSecurity, Temporary, Host, "the host asks for stronger ciphers than were offered (TLS alert 71)", "compare the ciphers that the host is configured for"},
		{AlertInternalError, Temporary, Host, "the host's TLS failed for a reason of its own (TLS alert 80)", "see the host's log: often its certificate or key cannot be read"},
		{AlertUnrecognizedName, Temporary, Host, "the host has no certificate for the name that it was asked for (TLS alert 112)", "configure a certificate for the MX host's name, or one for all names"},
		{AlertCertificateRequired, Temporary, Host, "the host wants a certificate of the client (TLS alert 116)", ours},
		{AlertBadCertificate, Temporary, Host, "the host refused the client's certificate, or the lack of one (TLS alert 42)", ours},
		{AlertAccessDenied, Temporary, Host, "the host's TLS lets this client not in (TLS alert 49)", ours},
	}
}

func certificateWords() []Entry {
	const chain = "send the whole chain from a public authority"
	return []Entry{
		{CertMissing, Temporary, Host, "the host presented no certificate", "configure one"},
		{CertMalformed, Temporary, Host, "the host's certificate cannot be read", "issue it anew"},
		{CertExpired, Temporary, Host, "the host's certificate, or one of its chain, has expired", "renew it"},
		{CertNotYetValid, Temporary, Host, "the host's certificate, or one of its chain, is not valid yet", "check the clocks, and the certificate's dates"},
		{CertSelfSigned, Temporary, Host, "the host's certificate is self-signed", chain},
		{CertUnknownAuthority, Temporary, Host, "no chain leads from the host's certificate to a known authority", chain},
		{CertHostMismatch, Temporary, Host, "the host's certificate is for another name", "issue it for the name in the MX record"},
		{CertNoName, Temporary, Host, "the host's certificate carries no DNS name", "issue it with a subject alternative name; a common name does not count"},
		{CertNotCA, Temporary, Host, "a certificate of the chain may not sign others", chain},
		{CertNameConstraints, Temporary, Host, "an authority of the chain may not sign for this name", chain},
		{CertUsage, Temporary, Host, "the host's certificate is not meant for servers", "issue it with the extended key usage serverAuth"},
		{CertChainTooLong, Temporary, Host, "the chain is longer than one of its authorities allows", chain},
		{CertCriticalExtension, Temporary, Host, "the certificate has a critical extension that is not known", "issue it without"},
		{CertWeakAlgorithm, Temporary, Host, "the certificate is signed by an algorithm that is broken", "issue it anew"},
		{CertWeakKey, Temporary, Host, "an RSA key of the host's certificate, or of its chain, has fewer than 1024 bits", "issue it anew with an RSA key of 2048 bits or an ECDSA key"},
		{CertUnknownKey, Temporary, Host, "the host's certificate holds a key that this server's TLS does not know: DSA, Ed448, or a curve other than P-256, P-384 and P-521", "issue it with an RSA or ECDSA P-256 key"},
		{CertInvalid, Temporary, Host, "the host's certificate is not valid", "issue it anew"},
		{RootsUnavailable, Temporary, Operator, "this server has no list of public authorities", "install the system's CA certificates"},
	}
}

func messageWords() []Entry {
	return []Entry{
		{Accepted, Fact, Nobody, "the host took the message", none},
		{RemoteReply, Either, Sender, "the host's answer settled it", "read the answer, which is given in full"},
		{Unanswered, Temporary, Nobody, "the message was sent in full and no answer came", "it is sent again, and may arrive twice"},
		{OtherFamily, Temporary, Operator, "the host refused one of our addresses, and is tried from the other address family next time", "check our addresses against block lists, and their reverse names"},
		{SMTPUTF8NotOffered, Permanent, Sender, "the message needs SMTPUTF8, which the host does not offer", "write to an address without special characters"},
		{EightBitNotOffered, Permanent, Sender, "the message holds 8-bit text, which the host does not take, and it is signed and cannot be changed", "send it in 7-bit form"},
		{SizeExceeded, Permanent, Sender, "the message is larger than the host takes", "send less"},
		{LineTooLong, Permanent, Sender, "a line of the message is longer than SMTP can carry on, and the message is signed or cannot be encoded anew", "have it sent again in quoted-printable or base64"},
		{BareNewline, Permanent, Sender, "the message holds a bare CR or LF, which no SMTP session can carry safely", "send it with CRLF line ends"},
		{BadEnvelope, Permanent, Sender, "an address cannot be written in SMTP", "correct the address"},
		{ContentUnreadable, Temporary, Operator, "the stored message could not be read", "look at this server's log"},
		{LeaseLost, Temporary, Nobody, "another machine took the message over", none},
		{Canceled, Temporary, Nobody, "the attempt was broken off", "nothing to do; it is repeated"},
		{Interrupted, Temporary, Nobody, "the attempt was broken off before a host was asked", "nothing to do; it is repeated"},
		{NotVerified, Fact, Nobody, "nobody verified the certificate", none},
		{Mailbox, Fact, Nobody, "the message lies in a mailbox of this server", none},
		{InternalError, Either, Operator, "this server met a fault of its own over the message", "look for \"panic contained\" in its log, and report what stands there; after three times the message is returned to its sender, or held"},
		{StoreError, Temporary, Operator, "this server could not read its own database", "look at its log; the message is tried again"},
		{NoResult, Temporary, Operator, "the attempt told nothing of this recipient", "look at this server's log; the message is tried again"},
		{BadDomain, Permanent, Sender, "the recipient's domain cannot be read", "correct the address"},
		{BadAddress, Permanent, Sender, "the recipient is no address that a mailbox of this server can have", "correct the address"},
		{NoSuchUser, Permanent, Sender, "this server has no such user", "check the address for typing errors"},
		{NotHosted, Permanent, Operator, "the domain was one of this server when it took the message, and is none any more", "ask the operator of this server"},
		{MailboxDisabled, Permanent, Operator, "the account is disabled, and its mail is refused", "ask the operator of this server"},
		{PassedOn, Fact, Nobody, "the message was passed on to the members of an alias, to where the account's mail filter sends it, or to the sender of the message that it is about", none},
		{AliasBroken, Permanent, Operator, "the alias leads to nobody, or to more addresses than one message may go to", "look at its members (\"waxwing alias list\")"},
		{MailLoop, Permanent, Operator, "the message has been through the alias already: somewhere mail for a member is sent back to it", "take that member out of the alias, or end its forwarding"},
		{Expired, Permanent, Sender, "the mail was tried for as long as this server tries", "see the reason of the last attempt; send it again when its cause is mended"},
		{Held, Temporary, Operator, "an operator holds the message back", "ask the operator of this server"},
		{Released, Temporary, Nobody, "an operator released the message; it goes on as if it had waited", none},
		{FailedByOperator, Permanent, Operator, "an operator gave the message up, and its sender was told", "ask the operator of this server"},
		{Dropped, Permanent, Operator, "an operator took the message out of the queue without a word to its sender", "ask the operator of this server"},
		{MailboxError, Temporary, Operator, "the mailbox could not be written", "look at this server's log; the message is tried again"},
		{ScriptRefused, Permanent, Sender, "the recipient's own mail filter refuses the message", "read what it says; ask the recipient by another way"},
		{ScriptDiscarded, Fact, Nobody, "the recipient's own mail filter threw the message away", none},
		{AccountLookup, Temporary, Operator, "the users of this server could not be looked up", "look at this server's log; the message is tried again"},
		{Suppressed, Permanent, Operator, "an earlier message to this recipient came back for good", "correct the address, or lift the entry of the suppression list"},
		{HoldRule, Temporary, Operator, "a rule of the operator holds such messages back", "release the message, or change the rule"},
	}
}

func routeWords() []Entry {
	return []Entry{
		{OperatorHost, Fact, Nobody, "the operator named this host, so that nothing that the recipient's domain publishes applies", none},
		{TransportUnverified, Permanent, Operator, "the sender asked for REQUIRETLS, and the operator's transport does not verify its host", "give the transport a verification, or route such mail otherwise"},
		{NoTransport, Temporary, Operator, "the route or the message names a transport that is not there", "add the transport, or change the route"},
		{RoutesUnreadable, Temporary, Operator, "the routes of this server could not be read", "look at this server's log; the message is tried again"},
		{RefusedByRoute, Either, Operator, "the operator's routes refuse mail like this", "ask the operator of this server"},
		{AuthUnusable, Temporary, Operator, "the operator's host offers no login that this server may use", "see which mechanisms the host offers, and that it does so over verified TLS"},
		{AuthRefused, Temporary, Operator, "the operator's host refused the login", "correct the transport's user and password"},
		{AuthServer, Temporary, Operator, "the host could not prove that it knows the password", "somebody else may be answering in its place: check the transport's host name and verification"},
	}
}

func webhookWords() []Entry {
	return []Entry{
		{WebhookNoAnswer, Temporary, Operator, "the program that is told of events did not answer, or its certificate is not valid", "see that the webhook's address can be reached from this server by HTTPS; it is tried again for a day"},
		{WebhookPrivate, Temporary, Operator, "the webhook's host has private addresses only", "give it a public one; in a closed network set api.private_webhooks"},
		{WebhookRefused, Temporary, Operator, "the program answered that it did not take the event", "look at the program's own log; the event is posted again for a day"},
		{WebhookGone, Permanent, Operator, "the program answered 410: it wants no more events, and the webhook was disabled", "remove the webhook, or enable it when the program is there again"},
		{WebhookDisabled, Permanent, Operator, "the webhook was disabled before the event was posted", "mend what the webhook failed by, and enable it again"},
	}
}

func accountWords() []Entry {
	return []Entry{
		{AppPasswordNeeded, Permanent, Sender, "the account's own password was right, but the account is logged in to with app passwords alone", "give the program an app password of its own (\"waxwing account app-password add\")"},
		{AppPasswordExpired, Permanent, Sender, "the app password was right, and has ended", "give the program another one (\"waxwing account app-password add\")"},
		{AppPasswordProtocol, Permanent, Sender, "the app password was right, and is for other protocols", "make one for this protocol (\"waxwing account app-password add --for\")"},
		{LoginNetwork, Permanent, Operator, "the account logs in from certain networks alone, and this is none of them", "log in from there, or add the network (\"waxwing account rules --networks\")"},
		{AccountSendsNothing, Permanent, Operator, "the account sends no mail", "change its rules (\"waxwing account rules --send\")"},
		{AccountSendsHosted, Permanent, Operator, "the account sends to the domains of this server alone", "change its rules (\"waxwing account rules --send\")"},
	}
}

func arrivalWords() []Entry {
	return []Entry{
		{AuthorUnreadable, Permanent, Sender, "the message has no From field, several, or one that names nobody for certain (RFC 5322 section 3.6.2)", "write one From field with the author's address"},
		{DMARCPass, Fact, Nobody, "the domain in the From field is authenticated (DMARC)", none},
		{DMARCNone, Fact, Domain, "the domain in the From field has no DMARC policy", "publish one: p=none with a report address is a beginning"},
		{DMARCFail, Fact, Domain, "the domain in the From field is not authenticated, and its DMARC policy asks that nothing be done about it", "have all mail of the domain signed by DKIM in its name"},
		{DMARCQuarantine, Fact, Domain, "the domain in the From field is not authenticated, and its DMARC policy asks that such mail be put aside", "have all mail of the domain signed by DKIM in its name"},
		{DMARCReject, Permanent, Domain, "the domain in the From field is not authenticated, and its DMARC policy asks that such mail be refused", "have all mail of the domain signed by DKIM in its name; a mailing list must keep the signature whole, or write its own address into the From field"},
		{DMARCTempError, Temporary, Domain, "whether the domain in the From field is authenticated could not be looked up", "see that the domain's name servers answer; the message may come again"},
		{OwnSPFFail, Permanent, Sender, "the envelope sender is of a domain hosted here, and its SPF record says that this client may not use it", "send it through this server's submission port, or add the client to the SPF record"},
		{TrustedForwarder, Fact, Nobody, "it came through a mailing list or forwarder that is listed as trusted and is authenticated", none},
	}
}

func junkWords() []Entry {
	return []Entry{
		{RepliedTo, Fact, Nobody, "the account has answered mail of this sender, whose domain vouches for the message", none},
		{WrittenTo, Fact, Nobody, "the account has written to this sender, whose domain vouches for the message", none},
		{WrittenToDomain, Fact, Nobody, "the account has written to others at this sender's domain, which vouches for the message", none},
		{MarkedGood, Fact, Nobody, "the account has said that mail of this sender is no junk", none},
		{MarkedJunk, Fact, Operator, "the account has said that mail of this sender is junk", "move one of its messages out of Junk, or run waxwing junk mark ACCOUNT ADDRESS good"},
		{DomainMarkedGood, Fact, Nobody, "the account has said that mail of this sender's domain is no junk", none},
		{DomainMarkedJunk, Fact, Operator, "the account has said that mail of this sender's domain is junk", "run waxwing junk mark ACCOUNT @DOMAIN good"},
		{KnownSender, Fact, Nobody, "the account has had several messages of this sender, whose domain vouches for this one too", none},
		{FirstContact, Fact, Nobody, "the account has had no mail of this sender before", none},
		{NotAuthenticated, Fact, Sender, "no domain vouches for the sender: neither a signature nor SPF", "have mail signed by DKIM, and publish an SPF record"},
		{BlockList, Fact, Sender, "the client's address stands on a list of senders of junk", "ask the list, which says how to be taken off"},
		{HELOName, Fact, Sender, "the client greets with what is no name of a host", "configure the sending server to greet with its own name, as the records of its address have it"},
		{NoReverseName, Fact, Sender, "the client's address has no name that leads back to it", "publish a PTR record for the address, and an address record for the name"},
		{JunkWords, Fact, Nobody, "how the words of the message are spread over what the account keeps and what it throws into Junk", none},
		{RspamdScore, Fact, Nobody, "what Rspamd makes of the message", none},
		{MilterQuarantine, Fact, Operator, "a milter asks that the message be put aside: it is in Junk, or held in the queue", "look into the milter's log; release or drop what is held (waxwing queue)"},
		{MilterReject, Permanent, Operator, "a milter refuses the message", "look into the milter's log"},
		{MilterDiscard, Fact, Operator, "a milter has the message thrown away: its sender reads that it was taken", "look into the milter's log"},
		{MilterPassed, Fact, Nobody, "a milter has looked at the message and lets it pass, perhaps changed", none},
		{FilterSilent, Fact, Operator, "a filter did not answer, and the configuration has mail put into Junk for it", "see that the filter runs, or set on_failure to accept or defer"},
	}
}
