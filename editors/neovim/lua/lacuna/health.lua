-- `:checkhealth lacuna`: what is there, and what to do about what is not.
local M, health = {}, vim.health
local INSTALL = {
  'Install it: in a checkout of Lacuna, `cargo install --path server/cli`',
  "or name it: require('lacuna').setup({ cmd = { '/path/to/lacuna', 'lsp' } })",
}

local function check_server(cmd)
  local ran, version = pcall(function() return vim.system({ cmd[1], '--version' }, { text = true }):wait(5000) end)
  if ran and version.code == 0 then
    health.ok(('%s: %s'):format(vim.fn.exepath(cmd[1]), vim.trim(version.stdout)))
  else
    health.error(('No server: `%s` does not run'):format(cmd[1]), INSTALL)
  end
end

local function check_state(client)
  local answer = client:request_sync('workspace/executeCommand', { command = 'lacuna.status' }, 5000) or {}
  local status = answer.result or { state = 'error', message = 'the server does not answer' }
  local tell = ({ disabled = health.warn, error = health.error })[status.state] or health.ok
  tell(status.message, status.state == 'disabled' and ':Lacuna toggle' or ':Lacuna log')
  health.info('Model: ' .. (status.model and status.model.source .. ' on ' .. status.model.device or 'none yet'))
end

function M.check()
  local config, client = vim.lsp.config.lacuna, vim.lsp.get_clients({ name = 'lacuna' })[1]
  health.start('lacuna')
  local tell = vim.lsp.inline_completion and health.ok or health.warn
  tell(('Neovim %s; ghost text since 0.12, before that the completion menu'):format(vim.version()))
  if type(config.cmd) == 'table' then check_server(config.cmd) end
  if client then return check_state(client) end
  if not vim.lsp.is_enabled('lacuna') then
    return health.warn('Lacuna is not switched on', "Call require('lacuna').setup() in init.lua")
  end
  local has_file = vim.iter(vim.api.nvim_list_bufs()):any(function(buf)
    return vim.api.nvim_buf_is_loaded(buf) and vim.list_contains(config.filetypes, vim.bo[buf].filetype)
  end)
  if not has_file then return health.warn('No file is open of the types ' .. table.concat(config.filetypes, ', ')) end
  health.warn('No server runs', { ':Lacuna restart starts it', ':Lacuna log may say why it ended' })
end

return M
