# docker build -t imipd .
# docker run -v /etc/imipd:/etc/imipd:ro -v imipd-state:/var/lib/imipd -p 10025:10025 -p 8008:8008 imipd
#
# In /etc/imipd/imipd.yaml: `state: /var/lib/imipd`, a listener on 0.0.0.0:10025, and in its `clients` the network that
# the mail server connects from; for posts of calendar servers `http.service.address: 0.0.0.0:8008` and `ischedule.peers`. Without that file the container ends at once and says so.
FROM node:26-slim

WORKDIR /opt/imipd
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force
COPY src src
COPY channel channel
COPY rules rules
COPY LICENSE README.md CHANGES.md ./

RUN install -d -o node -g node -m 0700 /var/lib/imipd
VOLUME /var/lib/imipd
USER node
ENV NODE_ENV=production
EXPOSE 10025 8008

# Healthy is a listener that greets. It costs a connection and touches nothing.
ENV IMIPD_HEALTH_PORT=10025
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["node", "-e", "require('node:net').connect(process.env.IMIPD_HEALTH_PORT, '127.0.0.1').once('data', (line) => process.exit(String(line).startsWith('220') ? 0 : 1)).once('error', () => process.exit(1)).once('close', () => process.exit(1))"]

# Signals reach the process itself: SIGTERM drains, SIGHUP is its own.
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve", "--config", "/etc/imipd/imipd.yaml"]
