API={{ origin }}{{ base }}
# {{ t('api.example.token') }}
AUTH=${TOKEN:+Authorization: Bearer $TOKEN}

# {{ t('api.example.draft') }}
DRAFT=$(curl -s -H "$AUTH" --json '{"inbox": 0}' $API/drafts | sed 's/.*"draft":"\([^"]*\)".*/\1/')

# {{ t('api.example.upload') }}
upload() {
  META="draft $(printf %s "$DRAFT" | base64 -w0),name $(printf %s "$(basename "$1")" | base64 -w0),role $(printf %s "$2" | base64 -w0)"
  URL=$(curl -s -D - -o /dev/null -X POST -H "$AUTH" -H "Tus-Resumable: 1.0.0" -H "Upload-Length: $(stat -c %s "$1")" \
    -H "Upload-Metadata: $META" $API/uploads | tr -d '\r' | sed -n 's/^location: //Ip')
  curl -s -X PATCH -H "$AUTH" -H "Tus-Resumable: 1.0.0" -H "Upload-Offset: 0" \
    -H "Content-Type: application/offset+octet-stream" -T "$1" "{{ origin }}$URL"
}
upload speech.wav recording
upload teacher.mp4 video

# {{ t('api.example.job') }}
curl -s -H "$AUTH" --json '{"name": "lesson-01", "draft": "'$DRAFT'", "consent": {"given": true, "by": "NAME"}}' $API/jobs
