module github.com/bilevel-go/bilevel/internal/report/browser

go 1.26.0

replace github.com/bilevel-go/bilevel => ../../..

require (
	github.com/bilevel-go/bilevel v0.0.0-00010101000000-000000000000
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
)

require github.com/go-json-experiment/json v0.0.0-20260214004413-d219187c3433 // indirect
