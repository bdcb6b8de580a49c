-- Writes screens of a Neovim as one animated SVG: what a row shows is there once, for as long as it shows it.
local M = {}

local CELL_WIDTH, CELL_HEIGHT, PAD, BASELINE = 8.43, 19, 14, 14
local FIRST_S, KEY_S, CANVAS_S, LAST_S = 1.2, 0.09, 0.6, 4
local FONT = '14px ui-monospace,SFMono-Regular,Menlo,Consolas,&quot;DejaVu Sans Mono&quot;,monospace'

local function hex(colour) return ('#%06x'):format(colour) end
local SIGNS = { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;' }
local function escape(text) return (text:gsub('[&<>"]', SIGNS)) end

-- How a cell looks: the colours of its text and of what is behind, and the style.
local function style(screen, row, column)
  local look = screen.looks[screen.grid[row][column][2]] or {}
  local front, back = look.foreground or screen.colours.foreground, look.background or screen.colours.background
  local is_caret = screen.cursor[1] == row and screen.cursor[2] == column
  if (look.reverse or false) ~= is_caret then front, back = back, front end
  local weight, slant = look.bold and ' font-weight="bold"' or '', look.italic and ' font-style="italic"' or ''
  return { front = hex(front), back = hex(back), extra = weight .. slant }
end

-- A row of a screen: what is behind its text, and the text in runs of one look.
local function row_svg(screen, row)
  local y, runs = PAD + row * CELL_HEIGHT, {}
  for column = 0, #screen.grid[row] do
    local look, last = style(screen, row, column), runs[#runs]
    if not last or not vim.deep_equal(last.look, look) then
      last = { look = look, from = column, text = '', cells = 0 }
      table.insert(runs, last)
    end
    last.text, last.cells = last.text .. screen.grid[row][column][1], last.cells + 1
  end
  local behind, text = {}, {}
  for _, run in ipairs(runs) do
    local x, look = PAD + run.from * CELL_WIDTH, run.look
    if look.back ~= hex(screen.colours.background) then
      local rect = '<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>'
      table.insert(behind, rect:format(x, y, run.cells * CELL_WIDTH, CELL_HEIGHT, look.back))
    end
    if vim.trim(run.text) ~= '' then
      local element = '<text x="%.1f" y="%d" fill="%s"%s textLength="%.1f">%s</text>'
      local length, content = run.cells * CELL_WIDTH, escape(run.text)
      table.insert(text, element:format(x, y + BASELINE, look.front, look.extra, length, content))
    end
  end
  return table.concat(behind) .. table.concat(text)
end

-- When each screen begins, in seconds, and the end of all. Those with another canvas stay; the others pass like keys.
local function times(screens)
  local starts, now, count = {}, 0, #screens
  for index, screen in ipairs(screens) do
    starts[index] = now
    local is_other = index < count and screens[index + 1].canvas ~= screen.canvas
    now = now + (index == 1 and FIRST_S or index == count and LAST_S or is_other and CANVAS_S or KEY_S)
  end
  starts[count + 1] = now
  return starts
end

--- Writes screens (tests/neovim/screen.lua), each with the text of its `canvas`.
function M.write(path, screens, title)
  local starts, count = times(screens), #screens
  local rules, body, known = {}, {}, {}
  local function class(from, to)
    local name = ('s%d-%d'):format(from, to)
    if from == 1 and to == count then return nil end
    if not known[name] then
      known[name] = true
      local total = starts[count + 1]
      local at = function(index) return ('%.2f%%'):format(starts[index] / total * 100) end
      local frames = (from > 1 and '0%{visibility:hidden}' or '') .. at(from) .. '{visibility:visible}'
        .. (to < count and at(to + 1) .. '{visibility:hidden}' or '')
      local rule = '@keyframes %s{%s}.%s{animation:%s %.2fs step-end infinite;visibility:hidden}'
      table.insert(rules, rule:format(name, frames, name, name, total))
    end
    return name
  end
  local last_row = 0
  for row = 0, #screens[1].grid do
    local from, drawn = 1, nil
    for index = 1, count + 1 do
      local now = index <= count and row_svg(screens[index], row) or nil
      if index > 1 and now ~= drawn then
        local name = class(from, index - 1)
        local attribute = name and (' class="%s"'):format(name) or ''
        if drawn ~= '' then table.insert(body, ('<g%s>%s</g>'):format(attribute, drawn)) end
        from = index
      end
      if now and now ~= '' then last_row = row end
      drawn = now
    end
  end
  local width, height = (#screens[1].grid[0] + 1) * CELL_WIDTH + 2 * PAD, (last_row + 1) * CELL_HEIGHT + 2 * PAD
  -- Where motion is unwelcome the last screen stands still.
  local still = vim.iter(known):map(function(name) return name:match('%-' .. count .. '$') and '.' .. name end):totable()
  local rule = '@media(prefers-reduced-motion:reduce){g{animation:none!important}%s{visibility:visible}}'
  table.insert(rules, rule:format(table.concat(still, ',')))
  local file = assert(io.open(path, 'w'))
  local head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" role="img" xml:space="preserve">'
  file:write(head:format(width, height, width))
  file:write(('<title>%s</title><style>text{font:%s;white-space:pre}'):format(escape(title), FONT), unpack(rules))
  file:write(('</style><rect width="100%%" height="100%%" rx="8" fill="%s"/>'):format(hex(screens[1].colours.background)))
  file:write(table.concat(body), '</svg>\n')
  file:close()
end

return M
